import pytest
from torch import nn

from training.config import MlpConfig
from training.models import mlp


def kinds(**keys):
    return [type(layer).__name__ for layer in mlp.layers(MlpConfig(family="mlp", **keys), 12, 3)]


def test_a_hidden_layer_is_linear_norm_activation_and_dropout_in_this_order():
    assert kinds(depth=1) == ["Flatten", "Linear", "ReLU", "Linear"]
    hidden = ["Linear", "BatchNorm1d", "Tanh", "Dropout"]
    expected = ["Flatten", *hidden, *hidden, "Linear"]
    assert kinds(depth=2, batch_norm=True, activation="tanh", dropout=0.5) == expected


def test_layers_fit_into_one_another():
    sizes = [(layer.in_features, layer.out_features) for layer in linear(width=[7, 5])]
    assert sizes == [(12, 7), (7, 5), (5, 3)]


def linear(**keys):
    made = mlp.layers(MlpConfig(family="mlp", **keys), 12, 3)
    return [layer for layer in made if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_batch_norm_takes_the_place_of_the_bias(batch_norm):
    assert [layer.bias is None for layer in linear(batch_norm=batch_norm)] == [batch_norm, batch_norm, False]


def test_each_layer_has_its_own_dropout():
    made = mlp.layers(MlpConfig(family="mlp", depth=3, dropout=[0.1, 0.0, 0.3]), 12, 3)
    assert [layer.p for layer in made if isinstance(layer, nn.Dropout)] == [0.1, 0.3]
