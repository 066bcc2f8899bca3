import pytest
import torch
from torch import nn

from tailorbird.errors import InvalidInput
from training import models
from training.config import ResnetConfig
from training.models import resnet


def made(shape=(28, 28), **keys):
    return nn.Sequential(*resnet.layers(ResnetConfig(family="resnet", **keys), shape, 10))


@pytest.mark.parametrize(
    ("depth", "expected"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (5, [2, 2, 1]), (9, [3, 3, 3])]
)
def test_blocks_are_dealt_to_three_stages(depth, expected):
    assert [resnet.blocks(depth, stage) for stage in range(3)] == expected


def sides(network, shape=(28, 28)):
    images, result = torch.zeros(2, 1, *shape), []
    for layer in network:
        images = layer(images)
        result.append(tuple(images.shape[1:]))
    return result


@pytest.mark.parametrize("residual", [True, False])
def test_each_stage_is_twice_as_wide_and_half_as_large_and_is_averaged_at_the_end(residual):
    result = sides(made(depth=5, width=4, residual=residual))
    blocks = [(4, 28, 28), (4, 28, 28), (8, 14, 14), (8, 14, 14), (16, 7, 7)]
    assert result == [*[(4, 28, 28)] * 3, *blocks, (16, 1, 1), (16,), (10,)]


def test_a_first_pooling_leaves_a_quarter():
    assert sides(made(depth=3, width=4, pool=True))[1:7] == [*[(4, 14, 14)] * 4, (8, 7, 7), (16, 4, 4)]
    with pytest.raises(InvalidInput) as refused:
        models.check(ResnetConfig(family="resnet", pool=True), (1, 8))
    assert str(refused.value) == "model.pool: 1x8 pixels cannot be halved; accepted: false"


def shapes(network):
    return [
        tuple(module.weight.shape) for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]


def test_a_plain_net_has_the_same_layers_without_the_shortcuts():
    residual, plain = made(depth=6, width=4), made(depth=6, width=4, residual=False)
    for block in residual:
        block.downsample = None
    assert shapes(residual) == shapes(plain)
    assert not any(hasattr(layer, "downsample") for layer in plain)


def test_a_residual_block_that_computes_nothing_passes_what_it_got_and_a_plain_one_does_not():
    for residual in (True, False):
        block = made(depth=1, width=4, residual=residual)[3]
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.zeros_(layer.weight)
        images = torch.rand(2, 4, 6, 6)
        assert torch.equal(block(images), images if residual else torch.zeros_like(images))


def test_first_weights_are_drawn_as_he_et_al_say():
    torch.manual_seed(0)
    for residual in (True, False):
        for layer in made(depth=3, width=32, residual=residual).modules():
            if isinstance(layer, nn.Conv2d):
                deviation = (2 / (layer.out_channels * layer.kernel_size[0] ** 2)) ** 0.5
                assert 0.85 < layer.weight.std().item() / deviation < 1.15


def test_dropout_stands_before_the_last_layer():
    assert [type(layer).__name__ for layer in made(dropout=0.3)][-3:] == ["Flatten", "Dropout", "Linear"]
    assert [type(layer).__name__ for layer in made()][-2:] == ["Flatten", "Linear"]
