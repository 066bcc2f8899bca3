import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

from tailorbird.errors import InvalidInput
from training import models
from training.config import CnnConfig, LinearConfig, MlpConfig

SHAPES = [(28, 28), (8, 8), (32, 32, 3), (9, 12)]
FAMILIES = [
    LinearConfig(family="linear"),
    MlpConfig(family="mlp", depth=3, width=20),
    MlpConfig(family="mlp", width=[30, 7], dropout=0.5),
    CnnConfig(family="cnn", depth=3, width=6),
    CnnConfig(family="cnn", width=[5, 9], dropout=0.5),
]


def built(config, shape, classes=10):
    channels = shape[2] if len(shape) == 3 else 1
    return models.build(config, shape, classes, [0.3] * channels, [0.2] * channels)


def pixels(shape, count=2):
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("config", FAMILIES, ids=repr)
def test_pixels_become_a_logit_for_each_class_and_every_weight_learns(config, shape):
    network = built(config, shape)
    logits = network(pixels(shape))
    assert logits.shape == (2, 10) and logits.dtype == torch.float32
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def parameters(config, shape, classes):
    """By formula: weights and biases of each layer; of a block, its filters and what batch norm scales and shifts."""
    height, width, channels = (*shape, 1)[:3]
    if isinstance(config, CnnConfig):
        chain = [channels, *models.widths(config)]
        blocks = sum(9 * before * after + 2 * after for before, after in itertools.pairwise(chain))
        return blocks + (chain[-1] * (height >> config.depth) * (width >> config.depth) + 1) * classes
    hidden = models.widths(config) if isinstance(config, MlpConfig) else []
    chain = [height * width * channels, *hidden, classes]
    return sum((before + 1) * after for before, after in itertools.pairwise(chain))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("config", FAMILIES, ids=repr)
def test_a_network_has_as_many_parameters_as_its_formula(config, shape):
    assert sum(one.numel() for one in built(config, shape, 4).parameters()) == parameters(config, shape, 4)


def test_the_notebook_s_mlp_has_the_size_that_is_known_of_it():
    network = built(MlpConfig(family="mlp", width=[256, 128]), (28, 28))
    assert sum(one.numel() for one in network.parameters()) == 235_146


def test_one_width_goes_for_every_layer():
    assert models.widths(MlpConfig(family="mlp", depth=3, width=20)) == [20, 20, 20]
    assert models.widths(CnnConfig(family="cnn", width=[5, 9])) == [5, 9]


@pytest.mark.parametrize("config", FAMILIES, ids=repr)
def test_dropout_stands_after_each_hidden_layer_where_there_is_a_rate(config):
    rates = [layer.p for layer in built(config, (28, 28)).modules() if isinstance(layer, nn.Dropout)]
    expected = getattr(config, "dropout", 0)
    assert rates == ([expected] * config.depth if expected else [])


@pytest.mark.parametrize(("shape", "most"), [((28, 28), 4), ((8, 8), 3), ((32, 32, 3), 5), ((9, 12), 3), ((7, 64), 2)])
def test_a_cnn_is_as_deep_as_its_pixels_can_be_halved_and_learns_from_a_single_image(shape, most):
    network = built(CnnConfig(family="cnn", depth=most, width=4), shape)
    assert network.train()(pixels(shape, 1)).isfinite().all()
    with pytest.raises(InvalidInput, match=rf"accepted: at most {most}$") as refused:
        built(CnnConfig(family="cnn", depth=most + 1), shape)
    assert refused.value.field == "model.depth"


@given(
    arrays.arrays(np.uint8, st.sampled_from([(2, 4, 3), (2, 4, 3, 3)])),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
)
def test_normalize_takes_off_the_mean_and_divides_by_the_deviation_of_each_channel(images, means, deviations):
    channels = 3 if images.ndim == 4 else 1
    normalized = models.Normalize(means[:channels], deviations[:channels])(torch.from_numpy(images))
    assert normalized.shape == (2, channels, 4, 3) and normalized.dtype == torch.float32
    last = images.reshape(2, 4, 3, channels) / 255
    expected = np.moveaxis((last - means[:channels]) / deviations[:channels], 3, 1)
    np.testing.assert_allclose(normalized.numpy(), expected, rtol=1e-5, atol=1e-4)


def test_a_network_that_is_not_trained_normalises_all_the_same():
    state = built(LinearConfig(family="linear"), (8, 8)).state_dict()
    assert {"0.mean", "0.deviation"} < state.keys()
