"""What the tests of training share: small made-up data sets, real ones where they are, and one trained run."""

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

from training import config, datasets, splits
from training.config import DataConfig, RunConfig
from training.datasets import Dataset, cifar, idx
from training.loop import Run

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")

TITLES = {"fashion_mnist": "Fashion-MNIST", "mnist": "MNIST"}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_folder():
    """Finds the folder that holds a published data set; without one the test is skipped."""

    def find(name) -> Path:
        folder = Path(os.environ.get("TAILORBIRD_DATA_DIR", "/nowhere"))
        if name == cifar.NAME:
            if not cifar.place(folder):
                pytest.skip(f"needs CIFAR-10: set TAILORBIRD_DATA_DIR to a folder of which cifar10 {cifar.MEND}")
        elif idx.SOURCES[name].missing(folder):
            pytest.skip(
                f"needs {TITLES[name]}: set TAILORBIRD_DATA_DIR to a folder with {idx.SOURCES[name].folder}/raw"
            )
        return folder

    return find


@pytest.fixture(scope="session")
def published(data_folder):
    """A published data set, read once."""
    read = {}

    def load(name) -> Dataset:
        folder = data_folder(name)
        if name not in read:
            read[name] = datasets.load(DataConfig(name=name), folder, Path("/nowhere"))
        return read[name]

    return load


@pytest.fixture(scope="session")
def blobs():
    """Makes a data set of noisy prototypes, one for each class, which any family can learn."""

    def make(images=60, classes=3, shape=(8, 8), noise=40, seed=0) -> Dataset:
        random = np.random.default_rng(seed)
        labels = np.arange(images) % classes
        means = random.integers(0, 256, (classes, *shape))[labels]
        pixels = np.clip(means + random.normal(0, noise, means.shape), 0, 255).astype(np.uint8)
        return Dataset("blobs", tuple(f"class {n}" for n in range(classes)), pixels, labels.astype(np.int64), None)

    return make


@pytest.fixture(scope="session")
def few(blobs):
    """200 images, of which 40 are validated on: an epoch takes milliseconds, and classes overlap."""
    return splits.split(blobs(images=200, noise=150), DataConfig(name="digits", validation=40, holdout=0, test=1))


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return datasets.load(DataConfig(name="digits"), Path("/nowhere"), Path("/nowhere"))


@pytest.fixture(scope="session")
def digit_splits(digits):
    return splits.split(digits, DataConfig(name="digits"))


@pytest.fixture(scope="session")
def run_config():
    """A run config of digits from nested keys that are changed, as in `optimizer={"lr": 0.1}`."""

    def make(**changes) -> RunConfig:
        base = {"data": {"name": "digits"}, "model": {"family": "linear"}, "precision": "fp32"}
        return config.parse(RunConfig, base | changes)

    return make


@pytest.fixture(scope="session")
def trained(run_config, digit_splits) -> Run:
    """A run on digits that is good, but not perfect, on each of their splits."""
    model = {"family": "mlp", "width": 48, "dropout": 0.1}
    run = Run(run_config(model=model, epochs=4, optimizer={"lr": 3e-3}, batch_size=32), digit_splits)
    for _ in run:
        pass
    return run
