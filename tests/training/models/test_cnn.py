import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from tailorbird.errors import InvalidInput
from training import models
from training.config import CnnConfig
from training.models import cnn
from training.models.layers import Dropout

IMAGE = [[0, 1, 7, 5], [5, 5, 6, 6], [5, 3, 3, 0], [1, 1, 1, 2]]


def config(**keys):
    return CnnConfig.model_validate({"family": "cnn", **keys})


def convolved(kernel, **keys):
    """The worked image through the convolution of a block that has this kernel."""
    made = cnn.layers(config(depth=1, width=1, kernel=len(kernel), pool="none", batch_norm=False, **keys), (4, 4), 1)
    layers = made[: 1 + next(index for index, layer in enumerate(made) if isinstance(layer, nn.Conv2d))]
    layers[-1].weight.data[:] = torch.tensor(kernel, dtype=torch.float32)
    nn.init.zeros_(layers[-1].bias)
    with torch.no_grad():
        return nn.Sequential(*layers)(torch.tensor([[IMAGE]], dtype=torch.float32))[0, 0].int().tolist()


def test_the_worked_examples_of_a_convolution():
    assert convolved([[1, 0, 1], [1, 2, 0], [3, 0, 1]], padding=0) == [[40, 32], [26, 25]]
    assert convolved([[1, 0], [1, 2]], padding=0) == [[15, 18, 25], [16, 14, 9], [8, 6, 8]]
    assert convolved([[1, 0], [1, 2]], padding=0, stride=2) == [[15, 25], [8, 8]]
    padded = [[26, 42, 55, 35], [34, 41, 33, 28], [18, 25, 23, 14], [3, 9, 8, 8]]
    assert convolved([[1, 0, 0], [1, 2, 1], [1, 2, 3]], padding=1) == padded
    assert convolved([[1, 0, 0], [1, 2, 1], [1, 2, 3]]) == padded


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@given(st.integers(1, 8), st.integers(1, 4), st.integers(8, 20), st.integers(8, 20))
def test_same_padding_is_that_of_torch_and_with_a_stride_every_so_manieth_pixel_of_it(kernel, stride, height, width):
    keys = {"depth": 1, "width": 2, "kernel": kernel, "stride": stride, "pool": "none", "batch_norm": False}
    made = cnn.layers(config(**keys), (height, width), 1)
    *before, convolution = made[: 1 + next(n for n, layer in enumerate(made) if isinstance(layer, nn.Conv2d))]
    images = torch.randn(1, 1, height, width)
    whole = functional.conv2d(images, convolution.weight, convolution.bias, padding="same")
    ours = nn.Sequential(*before, convolution)(images)
    assert ours.shape[2:] == (-(-height // stride), -(-width // stride))
    torch.testing.assert_close(ours, whole[:, :, ::stride, ::stride], rtol=1e-4, atol=1e-5)


def before(depth, width, dropout, shape, outputs):
    """The family as it was when it had depth, width and dropout alone."""
    channels, smallest = shape[2] if len(shape) == 3 else 1, min(shape[:2])
    layers = [models.Normalize([80.0] * channels, [50.0] * channels)]
    for block in range(1, depth + 1):
        pool, norm = nn.MaxPool2d(2), nn.BatchNorm2d(width)
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False)]
        layers += [pool, norm] if smallest >> block > 1 else [norm, pool]
        layers += [nn.ReLU(), Dropout(dropout)] if dropout else [nn.ReLU()]
        channels = width
    cells = (shape[0] >> depth) * (shape[1] >> depth)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * cells, outputs))


@pytest.mark.parametrize("dropout", [0.0, 0.25])
@pytest.mark.parametrize(("shape", "depth"), [((28, 28), 2), ((28, 28), 4), ((32, 32, 3), 5), ((9, 12), 3)])
def test_configs_of_before_give_the_same_weights_under_the_same_names(shape, depth, dropout):
    torch.manual_seed(3)
    expected = before(depth, 6, dropout, shape, 10)
    torch.manual_seed(3)
    channels = shape[2] if len(shape) == 3 else 1
    normalize = models.Normalize([80.0] * channels, [50.0] * channels)
    network = models.build(config(depth=depth, width=6, dropout=dropout), shape, 10, normalize)
    states = network.state_dict(), expected.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    pixels = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    torch.manual_seed(4)
    trained = network.train()(pixels)
    torch.manual_seed(4)
    assert torch.equal(trained, expected.train()(pixels))


def kinds(shape=(28, 28), **keys):
    return [type(layer).__name__ for layer in cnn.layers(config(depth=1, **keys), shape, 10)][:-2]


def test_what_a_block_consists_of_and_in_which_order():
    assert kinds() == ["Conv2d", "MaxPool2d", "BatchNorm2d", "ReLU"]
    assert kinds(shape=(3, 3)) == ["Conv2d", "BatchNorm2d", "MaxPool2d", "ReLU"]
    assert kinds(pool="average", dropout=0.1) == ["Conv2d", "BatchNorm2d", "ReLU", "AvgPool2d", "Dropout"]
    assert kinds(pool="none", activation="gelu") == ["Conv2d", "BatchNorm2d", "GELU"]
    assert kinds(batch_norm=False, dropout=0.1) == ["Conv2d", "MaxPool2d", "ReLU", "Dropout"]
    assert kinds(batch_norm=False, dropout=0.1, dropout_place="convolution") == [
        "Conv2d", "Dropout", "MaxPool2d", "ReLU",
    ]  # fmt: skip
    assert kinds(kernel=4)[:2] == ["ZeroPad2d", "Conv2d"]


def test_each_block_has_its_own_settings_and_the_head_its_widths():
    keys = {"kernel": [5, 1], "stride": [2, 1], "padding": [0, 3], "head": [7, 6], "head_dropout": 0.2}
    made = cnn.layers(config(width=[4, 8], pool="none", **keys), (28, 28, 3), 10)
    convolutions = [layer for layer in made if isinstance(layer, nn.Conv2d)]
    assert [(convolution.in_channels, convolution.out_channels) for convolution in convolutions] == [(3, 4), (4, 8)]
    assert [convolution.kernel_size[0] for convolution in convolutions] == [5, 1]
    assert [convolution.stride[0] for convolution in convolutions] == [2, 1]
    assert [convolution.padding[0] for convolution in convolutions] == [0, 3]
    assert all(convolution.bias is None for convolution in convolutions)
    head = made[made.index(next(layer for layer in made if isinstance(layer, nn.Flatten))) + 1 :]
    assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]
    assert [layer.in_features for layer in head if isinstance(layer, nn.Linear)] == [18 * 18 * 8, 7, 6]


@pytest.mark.parametrize(("shape", "most"), [((28, 28), 4), ((8, 8), 3), ((32, 32, 3), 5), ((9, 12), 3), ((7, 64), 2)])
def test_it_is_as_deep_as_its_pixels_can_be_halved(shape, most):
    models.check(config(depth=most, width=4), shape)
    with pytest.raises(InvalidInput) as refused:
        models.check(config(depth=most + 1), shape)
    assert str(refused.value) == (
        f"model.depth: {most + 1} blocks halve {shape[0]}x{shape[1]} pixels to nothing; accepted: at most {most}"
    )


@pytest.mark.parametrize(
    ("keys", "shape", "message"),
    [
        (
            {"depth": 4, "kernel": 5, "padding": 0},
            (28, 28),
            "model.kernel: that of block 3 is 5 pixels wide, and its input has 4x4 pixels; "
            "accepted: at most 4 there, fewer blocks, or model.padding: same",
        ),
        (
            {"depth": 1, "kernel": 9, "padding": 1, "pool": "none"},
            (12, 6),
            "model.kernel: that of block 1 is 9 pixels wide, and its input has 12x6 pixels; "
            "accepted: at most 8 there, or model.padding: same",
        ),
        ({"depth": 2}, (1, 9), "model.pool: the first block leaves nothing of 1x9 pixels to pool; accepted: none"),
        (
            {"depth": 3, "stride": 4},
            (28, 28),
            "model.depth: 3 blocks halve 28x28 pixels to nothing; accepted: at most 1",
        ),
    ],
)
def test_what_does_not_fit_is_told_by_its_key_and_what_would(keys, shape, message):
    with pytest.raises(InvalidInput) as refused:
        models.check(config(**keys), shape)
    assert str(refused.value) == message


def test_without_pooling_it_is_as_deep_as_it_likes():
    models.check(config(depth=16, pool="none"), (1, 1))
