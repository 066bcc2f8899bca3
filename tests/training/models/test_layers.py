import pytest
import torch
from torch import nn
from torch.nn import functional

from training.models import layers


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", torch.relu),
        ("leaky_relu", functional.leaky_relu),
        ("gelu", functional.gelu),
        ("silu", functional.silu),
        ("tanh", torch.tanh),
        ("sigmoid", torch.sigmoid),
    ],
)
def test_an_activation_is_the_function_of_its_name(name, function):
    values = torch.linspace(-3, 3, 50)
    assert torch.equal(layers.activation(name)(values), function(values))


def test_nothing_is_dropped_by_no_layer():
    assert layers.dropout(0.0) == []
    assert [layer.p for layer in layers.dropout(0.3)] == [0.3]


def test_what_dropout_keeps_is_scaled_up():
    mask = layers.mask(torch.tensor([0.1, 0.25, 0.9]), 0.25, torch.float32)
    assert mask.tolist() == pytest.approx([0, 4 / 3, 4 / 3])


def test_one_value_goes_for_every_layer():
    assert layers.each(20, 3) == [20, 20, 20]
    assert layers.each([5, 9], 2) == [5, 9]


KINDS = [
    {"stride": 2}, {"stride": (3, 1), "bias": False}, {"stride": 2, "padding": "valid"}, {"stride": 2, "groups": 4},
    {"stride": 2, "groups": 8}, {"stride": 2, "padding": 1}, {},
]  # fmt: skip


@pytest.mark.parametrize("keys", KINDS, ids=str)
@pytest.mark.parametrize("inputs", [8, 16])
def test_a_convolution_is_that_of_torch(inputs, keys):
    torch.manual_seed(0)
    theirs, ours = nn.Conv2d(inputs, 8, 1, **keys), layers.Conv2d(inputs, 8, 1, **keys)
    ours.load_state_dict(theirs.state_dict())
    result = []
    for layer in (theirs, ours):
        images = torch.linspace(-1, 1, 2 * inputs * 63).reshape(2, inputs, 9, 7).requires_grad_()
        made = layer(images)
        made.square().sum().backward()
        gradients = [images.grad, *(parameter.grad for parameter in layer.parameters())]
        result.append([made, *gradients, layer.eval()(images), layer(images[0])])
    torch.testing.assert_close(result[1], result[0])


@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [(layers.BatchNorm1d, nn.BatchNorm1d, (6, 3)), (layers.BatchNorm2d, nn.BatchNorm2d, (1, 3, 2, 2))],
)
def test_batch_norm_is_that_of_torch(ours, theirs, shape):
    values, (mine, other) = torch.randn(shape), (ours(3), theirs(3))
    assert torch.equal(mine(values), other(values))
    assert mine.state_dict().keys() == other.state_dict().keys()
    assert torch.equal(mine.running_var, other.running_var)
    assert torch.equal(mine.eval()(values), other.eval()(values))


@pytest.mark.parametrize(("norm", "shape"), [(layers.BatchNorm1d(3), (1, 3)), (layers.BatchNorm2d(3), (1, 3, 1, 1))])
def test_what_has_no_deviation_is_normalised_by_the_running_figures(norm, shape):
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(4.0)
    nn.init.constant_(norm.weight, 3.0)
    nn.init.constant_(norm.bias, 1.0)
    normalized = norm.train()(torch.tensor([2.0, 4.0, 0.0]).view(shape))
    torch.testing.assert_close(normalized.flatten(), torch.tensor([1.0, 4.0, -2.0]), atol=1e-4, rtol=0)
    assert norm.running_mean.tolist() == [2.0, 2.0, 2.0]
