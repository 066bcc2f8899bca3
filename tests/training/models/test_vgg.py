import pytest
from torch import nn

from tailorbird.errors import InvalidInput
from training import models
from training.config import VggConfig
from training.models import vgg


def config(**keys):
    return VggConfig(family="vgg", **keys)


@pytest.mark.parametrize(
    ("depth", "convolutions", "stages"),
    [(1, 2, [1]), (2, 2, [2]), (5, 2, [2, 2, 1]), (6, 3, [3, 3]), (4, 1, [1] * 4), (4, 9, [4])],
)
def test_convolutions_fill_stages(depth, convolutions, stages):
    assert vgg.fitted(config(depth=depth, convolutions=convolutions), (28, 28)) == stages


def test_each_stage_is_twice_as_wide_and_ends_in_a_pooling_and_dropout():
    made = vgg.layers(config(depth=3, width=5, dropout=0.2), (28, 20, 3), 10)
    convolution = ["Conv2d", "BatchNorm2d", "ReLU"]
    names = [type(layer).__name__ for layer in made]
    end = ["MaxPool2d", "Dropout"]
    assert names == [*convolution, *convolution, *end, *convolution, *end, "Flatten", "Linear"]
    widths = [(item.in_channels, item.out_channels) for item in made if isinstance(item, nn.Conv2d)]
    assert widths == [(3, 5), (5, 5), (5, 10)]
    assert made[-1].in_features == 10 * 7 * 5


def test_the_bias_goes_where_batch_norm_comes():
    for batch_norm in (True, False):
        first = vgg.layers(config(batch_norm=batch_norm), (28, 28), 10)[0]
        assert (first.bias is None) is batch_norm


@pytest.mark.parametrize(
    ("keys", "shape", "message"),
    [
        (
            {"depth": 9},
            (28, 40),
            "model.depth: 5 stages halve 28x40 pixels to nothing; accepted: at most 8, or more model.convolutions",
        ),
        ({}, (1, 8), "model.family: 2 stages halve 1x8 pixels to nothing; accepted: cnn, with model.pool: none"),
    ],
)
def test_more_stages_than_the_image_has_halves_are_refused(keys, shape, message):
    with pytest.raises(InvalidInput) as refused:
        models.check(config(**keys), shape)
    assert str(refused.value) == message
    models.check(config(depth=8), (28, 40))
