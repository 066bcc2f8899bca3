import numpy as np
import pytest
import torch

from training import normalization, splits
from training.config import DataConfig, RunConfig
from training.datasets import Dataset
from training.models.normalize import Normalize
from training.network import fresh


def moments(rows, normalize):
    rows = np.asarray(rows, np.float64)
    made = Dataset("made", ("y",), rows, np.arange(len(rows), dtype=np.float64), None, "regression", ("a", "b"))
    data = DataConfig(name="diabetes", validation=0, holdout=0, test=1)
    config = RunConfig(data=data, model={"family": "linear"}, normalize=normalize)
    return normalization.moments(config, splits.split(made, data).train)


@pytest.mark.parametrize("normalize", ["standard", "unit", "symmetric"])
@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e9])
def test_the_unit_of_a_column_does_not_matter(normalize, unit):
    column = np.linspace(0, 1, 20)
    mean, deviation = moments(np.stack([unit * column, column], 1), normalize)
    assert torch.allclose(mean[0] / unit, mean[1]) and torch.allclose(deviation[0] / unit, deviation[1])


@pytest.mark.parametrize("normalize", ["standard", "unit", "symmetric"])
@pytest.mark.parametrize("unit", [1e-200, 1e-310])
def test_a_column_whose_squares_are_nothing_keeps_its_values(normalize, unit):
    column = np.linspace(1, 2, 20)
    rows = np.stack([unit * column, column], 1)
    mean, deviation = moments(rows, normalize)
    seen = Normalize(mean, deviation)(torch.as_tensor(rows))
    assert len(seen[:, 0].unique()) == 20 and 0.4 < np.ptp(seen[:, 0].numpy()) < 4


@pytest.mark.parametrize(("normalize", "low", "high"), [("unit", 0, 1), ("symmetric", -1, 1)])
def test_a_column_is_brought_to_its_range(normalize, low, high):
    column = np.linspace(20, 60, 16)
    mean, deviation = moments(np.stack([column, -column], 1), normalize)
    assert ((torch.tensor([20.0, -60.0]) - mean) / deviation).tolist() == pytest.approx([low] * 2)
    assert ((torch.tensor([60.0, -20.0]) - mean) / deviation).tolist() == pytest.approx([high] * 2)


@pytest.mark.parametrize("normalize", ["standard", "unit", "symmetric"])
def test_the_zero_of_a_column_does_not_matter(normalize):
    column = np.linspace(0, 60, 16)
    mean, deviation = moments(np.stack([1.7e9 + column, column], 1), normalize)
    assert torch.allclose(mean[0] - 1.7e9, mean[1]) and torch.allclose(deviation[0], deviation[1])


@pytest.mark.parametrize("normalize", ["standard", "unit"])
@pytest.mark.parametrize("value", [0.0, 1.0, -3e7, 0.1])
def test_what_is_the_same_in_all_rows_is_shifted_alone(normalize, value):
    mean, deviation = moments([[value, number] for number in range(9)], normalize)
    assert mean[0].item() == pytest.approx(value) and deviation[0] == 1


def test_images_of_one_colour_are_shifted_alone():
    pixels, targets = np.full((8, 3, 3), 255, np.uint8), np.arange(8) % 2
    white = Dataset("white", ("a", "b"), pixels, targets, (pixels, targets))
    data = DataConfig(name="digits", validation=0, holdout=0)
    config = RunConfig(data=data, model={"family": "linear"})
    mean, deviation = normalization.moments(config, splits.split(white, data).train)
    assert (mean.tolist(), deviation.tolist()) == ([255], [255])


def test_numbers_to_predict_are_brought_to_a_deviation_of_one():
    rows, targets = np.zeros((6, 2)), np.float64([1, 2, 3, 4, 5, 900])
    split = splits.Split(rows, np.arange(5), targets[:5], np.zeros((5, 16), np.uint8))
    mean, deviation = normalization.of_targets(split)
    assert (mean.item(), deviation.item()) == (3, pytest.approx(2**0.5))
    one = normalization.of_targets(split.only(slice(4, 5)))
    assert [figure.item() for figure in one] == [5, 1]


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_a_network_normalises_by_the_moments_of_the_training_images_alone(run_config, blobs, shape):
    parts = splits.split(blobs(shape=shape, images=90), DataConfig(name="digits"))
    state = fresh(run_config(), parts).state_dict()
    axes = (0, 1, 2)
    images = parts.train.at(slice(None)).astype(np.float64)
    np.testing.assert_allclose(state["0.mean"].flatten(), np.atleast_1d(images.mean(axes)), rtol=1e-6)
    np.testing.assert_allclose(state["0.deviation"].flatten(), np.atleast_1d(images.std(axes)), rtol=1e-6)


@pytest.mark.parametrize(("name", "mean", "deviation"), [("fashion_mnist", 0.2860, 0.3530), ("mnist", 0.1307, 0.3081)])
def test_the_published_sets_are_normalised_by_the_known_figures(published, run_config, name, mean, deviation):
    whole = splits.split(published(name), DataConfig(name=name, validation=0, holdout=0))
    state = fresh(run_config(), whole).state_dict()
    assert state["0.mean"].item() / 255 == pytest.approx(mean, abs=1e-4)
    assert state["0.deviation"].item() / 255 == pytest.approx(deviation, abs=1e-4)
