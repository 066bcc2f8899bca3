"""The studies that are shipped: each one parses, and every model and loss of it fits its data."""

from importlib import resources
from pathlib import Path

import pytest

from registry import names
from training import models, objectives
from training.datasets import scikit
from tuning import spec_file

FILES = sorted((resources.files("tuning") / "studies").iterdir(), key=lambda path: path.name)
LARGE = {"cifar10": (32, 32, 3), "fashion_mnist": (28, 28), "mnist": (28, 28)}
NAMES = {
    "cifar-cnn", "fashion-activations", "fashion-cnn", "fashion-depth", "fashion-mlp", "iris-batching",
    "iris-softmax-2-half", "iris-softmax-2-most", "iris-softmax-4-half", "iris-softmax-4-most",
    "mnist-cnn", "mnist-linear", "mnist-mlp", "mnist-mlp-regularised", "mnist-mlp-sgd",
    "objectives-binary", "objectives-multiclass", "objectives-multilabel", "objectives-regression",
}  # fmt: skip


@pytest.fixture
def read():
    return lambda name: spec_file.read(Path(str(resources.files("tuning") / "studies" / f"{name}.yaml")), [])


def test_these_studies_are_shipped():
    assert {path.name.removesuffix(".yaml") for path in FILES} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_run_of_a_study_fits_its_data(read, name):
    spec = read(name)
    assert spec.name == name
    names.check("name", spec.name)
    assert spec.promote is None
    assert len(set(map(repr, spec.configs))) == len(spec.configs)
    if spec.data.name in LARGE:
        shape, kind = LARGE[spec.data.name], "multiclass"
    else:
        dataset = scikit.load(spec.data)
        shape, kind = dataset.shape, dataset.kind
    for number, config in enumerate(spec.configs, 1):
        models.check(config.model, shape)
        objectives.loss(config.loss, kind)
        if spec.runs:
            assert spec.listed(number).name
    if kind == "regression":
        assert spec.objective.metric == "val_loss"  # there is no accuracy to choose by


@pytest.mark.parametrize("name", sorted(NAMES))
def test_what_is_shown_beside_a_figure_says_where_it_comes_from(read, name):
    spec = read(name)
    shown = [one for one in spec.runs or [] if one.reference]
    if shown or spec.reference:
        assert spec.source
    for one in shown:
        for metric, figure in (one.reference or {}).items():
            assert 0 < figure < (1 if metric.endswith("accuracy") else 10)


def test_the_networks_of_the_notes_are_those_that_they_drew(read):
    """Shapes and parameters by hand: of 28x28, kernel 5 without padding leaves 24, pooled 12, then 8, pooled 4."""
    config = read("fashion-cnn").configs[0]
    import torch

    nothing = models.Normalize(torch.zeros(1), torch.ones(1))
    network = models.build(config.model, (28, 28), 10, nothing)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == (25 * 10 + 10) + (25 * 10 * 20 + 20) + (4 * 4 * 20 * 10 + 10)
    mlp = models.build(read("fashion-mlp").configs[2].model, (28, 28), 10, nothing)
    assert sum(parameter.numel() for parameter in mlp.parameters()) == 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10


def test_fashion_cnn_is_three_models_by_two_losses_by_three_optimisers(read):
    configs = read("fashion-cnn").configs
    assert (
        len({(str(config.model), config.loss.name, config.optimizer.name) for config in configs}) == len(configs) == 18
    )
    assert {config.loss.name for config in configs} == {"cross_entropy", "bce"}
    assert {config.optimizer.name for config in configs} == {"adam", "sgd", "rmsprop"}


def test_iris_softmax_compares_three_losses_over_ten_thousand_full_batches(read):
    for name, columns, test in (("2-half", 2, 75), ("2-most", 2, 0.25), ("4-half", 4, 75), ("4-most", 4, 0.25)):
        spec = read(f"iris-softmax-{name}")
        assert scikit.load(spec.data).shape == (columns,)
        assert spec.data.test == test
        assert [config.loss.name for config in spec.configs] == ["cross_entropy", "log_softmax_nll", "softmax_log_nll"]
        assert {(config.batch_size, config.epochs, config.optimizer.lr) for config in spec.configs} == {
            ("full", 10_000, 0.01)
        }
