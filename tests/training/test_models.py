import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tailorbird.errors import InvalidInput
from training import models
from training.config import CnnConfig, LinearConfig, MlpConfig, ResnetConfig, VggConfig

SHAPES = [(28, 28), (8, 8), (32, 32, 3), (9, 12)]
PLAIN = [
    LinearConfig(family="linear"),
    MlpConfig(family="mlp", depth=3, width=20),
    MlpConfig(family="mlp", width=[30, 7], dropout=[0.5, 0.0], batch_norm=True, activation="gelu"),
]
CONVOLUTIONAL = [
    CnnConfig(family="cnn", depth=3, width=6),
    CnnConfig(family="cnn", width=[5, 9], dropout=0.5),
    CnnConfig(family="cnn", width=[5, 9], kernel=[4, 2], stride=[2, 1], pool=["none", "average"], head=[11, 7]),
    VggConfig(family="vgg", depth=3, width=4, activation="silu"),
    ResnetConfig(family="resnet", depth=4, width=4),
    ResnetConfig(family="resnet", depth=2, width=4, residual=False, pool=True),
]
FAMILIES = PLAIN + CONVOLUTIONAL


def built(config, shape, outputs=10):
    channels = shape[2] if len(shape) == 3 else 1
    count = shape[0] if len(shape) == 1 else channels
    return models.build(config, shape, outputs, models.Normalize([80.0] * count, [50.0] * count))


def inputs(shape, count=2):
    return torch.randn(count, *shape) if len(shape) == 1 else torch.randint(0, 256, (count, *shape), dtype=torch.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("config", FAMILIES, ids=repr)
def test_pixels_become_a_logit_for_each_class_and_every_weight_learns(config, shape):
    torch.manual_seed(0)
    network = built(config, shape)
    logits = network(inputs(shape, 8))
    assert logits.shape == (8, 10) and logits.dtype == torch.float32
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize("config", PLAIN, ids=repr)
def test_rows_of_a_table_become_logits(config):
    assert built(config, (4,), 3)(inputs((4,), 5)).shape == (5, 3)


@pytest.mark.parametrize("config", CONVOLUTIONAL, ids=repr)
def test_what_convolves_wants_images(config):
    for asked in (models.check, lambda *given: built(*given)):
        with pytest.raises(InvalidInput) as refused:
            asked(config, (4,))
        assert str(refused.value) == (
            f"model.family: {config.family} requires images, and these are rows of a table; "
            f"accepted: linear, mlp or custom"
        )


def test_which_families_convolve():
    assert [models.convolves(config) for config in FAMILIES] == [False] * len(PLAIN) + [True] * len(CONVOLUTIONAL)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("config", FAMILIES, ids=repr)
def test_a_last_batch_of_one_image_can_be_learnt_from(config, shape):
    assert built(config, shape).train()(inputs(shape, 1)).isfinite().all()


@pytest.mark.parametrize("config", CONVOLUTIONAL, ids=repr)
def test_channels_last_changes_the_order_in_memory_and_no_logit(config):
    torch.manual_seed(0)
    network, pixels = built(config, (28, 28)).eval(), inputs((28, 28), 4)
    before = network(pixels)
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(pixels), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", CONVOLUTIONAL, ids=repr)
def test_bf16_comes_near(config):
    torch.manual_seed(0)
    network, pixels = built(config, (28, 28)).eval().to(memory_format=torch.channels_last), inputs((28, 28), 4)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(pixels).float()
    exact = network(pixels)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max() + 0.05


@pytest.mark.parametrize("config", FAMILIES, ids=repr)
def test_the_seed_decides_the_first_weights(config):
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(nn.utils.parameters_to_vector(built(config, (8, 8)).parameters()))
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


@pytest.mark.parametrize("config", FAMILIES, ids=repr)
def test_what_is_checked_can_be_built(config):
    for side in range(1, 9):
        try:
            models.check(config, (side, 8))
        except InvalidInput as error:
            with pytest.raises(InvalidInput) as refused:
                built(config, (side, 8))
            assert str(refused.value) == str(error)
        else:
            assert built(config, (side, 8))(inputs((side, 8))).shape == (2, 10)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_networks_that_are_known_have_the_sizes_that_are_known_of_them():
    assert count(built(LinearConfig(family="linear"), (28, 28))) == 7_850
    assert count(built(MlpConfig(family="mlp", width=[128, 64]), (28, 28))) == 109_386
    assert count(built(MlpConfig(family="mlp", width=[256, 128]), (28, 28))) == 235_146
    assert count(built(ResnetConfig(family="resnet", depth=9, residual=False), (32, 32, 3))) == 269_722  # ResNet-20


# The recipes of the study notes, as configs.
FASHION1 = {"width": [10, 20], "kernel": 5, "padding": 0, "batch_norm": False}
FASHION3 = {"width": [16, 32, 64], "pool": ["max", "max", "none"], "batch_norm": False, "head": [128]}
CIFAR = {"width": [32, 32], "pool": ["none", "max"], "batch_norm": False, "head": [128]}
MNIST = {"width": [32, 64, 128], "dropout": [0.25, 0.25, 0.4], "head": [128], "head_dropout": 0.5}


@pytest.mark.parametrize(
    ("recipe", "shape", "parameters"),
    [
        (FASHION1, (28, 28), 260 + 5_020 + 3_210),
        (FASHION1 | {"dropout": [0.0, 0.5], "dropout_place": "convolution"}, (28, 28), 260 + 5_020 + 3_210),
        (FASHION3, (28, 28), 160 + 4_640 + 18_496 + (49 * 64 + 1) * 128 + 1_290),
        (CIFAR, (32, 32, 3), 896 + 9_248 + (16 * 16 * 32 + 1) * 128 + 1_290),
        (MNIST, (28, 28), (288 + 64) + (18_432 + 128) + (73_728 + 256) + (9 * 128 + 1) * 128 + 1_290),
    ],
    ids=["fashion 1", "fashion 2", "fashion 3", "cifar", "mnist"],
)
def test_the_nets_of_the_studies_can_be_said(recipe, shape, parameters):
    network = built(CnnConfig.model_validate({"family": "cnn", **recipe}), shape)
    assert count(network) == parameters
    drops = [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]
    rates = recipe.get("dropout", [])
    assert drops == [rate for rate in [*rates, recipe.get("head_dropout", 0)] if rate]


def test_a_network_that_is_not_trained_normalises_all_the_same():
    state = built(LinearConfig(family="linear"), (8, 8)).state_dict()
    assert state["0.mean"].shape == state["0.deviation"].shape == (1, 1, 1, 1)
    assert math.isclose(state["0.mean"].item(), 80.0)


NARROW = """
import json, sys, torch
from training import config, models

torch.set_num_threads(2)
given = {"data": {"name": "cifar10"}, "model": json.loads(sys.argv[1])}
network = models.build(config.parse(config.RunConfig, given).model, (24, 24, 3), 3, models.Normalize([80.0], [50.0]))
network.to(memory_format=torch.channels_last)
for _ in range(20):
    network(torch.randint(0, 256, (49, 24, 24, 3), dtype=torch.uint8)).sum().backward()
"""
OWN = """
from torch import nn

def build(shape, outputs):
    points = nn.Conv2d(8, 16, 1, 2, padding="valid")
    return nn.Sequential(nn.Conv2d(3, 8, 3), points, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, outputs))
"""


@pytest.mark.parametrize(
    "model", [{"family": "resnet", "depth": 3, "width": 8}, {"family": "custom", "function": "own:build"}], ids=str
)
def test_strided_points_of_few_channels_learn_with_several_threads(tmp_path, model):
    """Those of torch can end the process, where it is one with AVX-512: so it is one of its own."""
    (tmp_path / "own.py").write_text(OWN)
    command = [sys.executable, "-c", NARROW, json.dumps(model)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
