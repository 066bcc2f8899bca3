"""CIFAR-10 (Krizhevsky 2009), from a copy below the folder of data sets: its binary version, or as images."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from tailorbird.errors import InvalidInput, NotFound
from training.config import IMAGES, DataConfig
from training.datasets import images, kept, trees
from training.datasets.dataset import Dataset, Images

NAME = "cifar10"
PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (32, 32, 3)
BINARY = ("cifar-10-batches-bin", "cifar-10-binary.tar.gz", "cifar-10-binary.tar")
TREES = ("cifar10", "cifar-10", "CIFAR10", *(f"cifar10{suffix}" for suffix in trees.ARCHIVES))
MISSING = "is not below"
MEND = (
    f"put {BINARY[1]} there from {PAGE}, or its images as {TREES[0]}/train/CLASS/*.png and "
    f"{TREES[0]}/test/CLASS/*.png, or these in {TREES[0]}.zip, .tar, .tar.gz or .tar.xz"
)
BATCHES = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)}
BATCH, RECORD = 10_000, 1 + 3 * 32 * 32
RULE = 2
"""Version of the format in which batches are stored."""


def place(folder: Path) -> Path | None:
    """The path of CIFAR-10 below the folder of data sets; None if it is not there."""
    return next((folder / name for name in (*BINARY, *TREES) if (folder / name).exists()), None)


def load(folder: Path, cache: Path) -> Dataset:
    """Read it; raises NotFound that says what to put where, InvalidInput for what is not CIFAR-10."""
    root = place(folder)
    if root is None:
        raise NotFound(NAME, f"{MISSING} {folder}: {MEND}")
    if root.name in BINARY:
        return kept.load(cache, [str(root), trees.fingerprint(root), NAME, RULE], NAME, partial(_make, root))
    dataset = images.load(DataConfig(name=IMAGES, path=str(root), size=32, colour=True), folder, cache)
    if dataset.classes != CLASSES or dataset.test is None:
        raise InvalidInput(str(root), f"is not CIFAR-10; accepted: train and test with a folder each of {CLASSES}")
    return replace(dataset, name=NAME)


def _make(root: Path, into: Path) -> None:
    """Convert its binary batches, whose records are a label and three planes of 32x32, to our order of pixels."""
    labels: dict[str, Images] = {}
    with ExitStack() as stack:
        rows = {
            part: stack.enter_context(closing(kept.RowWriter(into / kept.INPUTS[part], BATCH * len(batches), SHAPE)))
            for part, batches in BATCHES.items()
        }
        for part, name, records in _records(root):
            pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            rows[part].write(BATCH * BATCHES[part].index(name), pixels)
            labels[name] = records[:, 0]
    if absent := [name for batches in BATCHES.values() for name in batches if name not in labels]:
        raise InvalidInput(str(root), f"has no {', '.join(absent)}; get the complete set from {PAGE}")
    targets = {part: np.concatenate([labels[name] for name in batches]) for part, batches in BATCHES.items()}
    kept.finish(into, CLASSES, {part: target.astype(np.int64) for part, target in targets.items()}, [])


def _records(root: Path) -> Iterator[tuple[str, str, Images]]:
    """Part, name and bytes [10,000, 3073] of each batch."""
    with trees.files(root) as files:
        for file in files:
            name = PurePosixPath(file.name).name
            if part := next((part for part, batches in BATCHES.items() if name in batches), None):
                data = np.frombuffer(file.read(), np.uint8)
                if data.size != BATCH * RECORD or (data[::RECORD] >= len(CLASSES)).any():
                    raise InvalidInput(
                        str(root), f"{name} is not a batch of {BATCH:,} images; get the complete set from {PAGE}"
                    )
                yield part, name, data.reshape(BATCH, RECORD)
