"""The families of models. Every network takes raw inputs and normalises them itself, and so does its export."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from training.config import (
    CnnConfig,
    CustomConfig,
    LinearConfig,
    MlpConfig,
    ModelConfig,
    PretrainedConfig,
    ResnetConfig,
    VggConfig,
)
from training.models import cnn, custom, mlp, pretrained, resnet, vgg
from training.models.layers import Conv2d
from training.models.normalize import Denormalize, Normalize
from training.models.summary import Layer, summary

__all__ = ["Denormalize", "Layer", "Normalize", "build", "check", "convolves", "summary"]


def build(
    config: ModelConfig, shape: Sequence[int], outputs: int, normalize: Normalize, last: Denormalize | None = None
) -> nn.Sequential:
    """A network from inputs of `shape` ([H, W], [H, W, C] or [columns]) to logits [N, outputs], or to numbers.

    Raises InvalidInput where the model does not fit them.
    """
    network = nn.Sequential(normalize, *_layers(config, shape, outputs), *([last] if last else []))
    for layer in network.modules():
        if type(layer) is nn.Conv2d:  # a user's own module may contain some; subclasses of it are not replaced
            layer.__class__ = Conv2d
    return network


def _layers(config: ModelConfig, shape: Sequence[int], outputs: int) -> Sequence[nn.Module]:
    inputs = math.prod(shape)
    match config:
        case LinearConfig():
            return [nn.Flatten(), nn.Linear(inputs, outputs)]
        case MlpConfig():
            return mlp.layers(config, inputs, outputs)
        case CnnConfig():
            return cnn.layers(config, shape, outputs)
        case VggConfig():
            return vgg.layers(config, shape, outputs)
        case ResnetConfig():
            return resnet.layers(config, shape, outputs)
        case CustomConfig():
            return [custom.module(config, shape, outputs)]
        case PretrainedConfig():
            return pretrained.layers(config, shape, outputs)


def check(config: ModelConfig, shape: Sequence[int]) -> None:
    """Raise InvalidInput where a model does not fit inputs of `shape` ([H, W], [H, W, C] or [columns])."""
    match config:
        case CnnConfig():
            list(cnn.fitted(config, shape))
        case VggConfig():
            vgg.fitted(config, shape)
        case ResnetConfig():
            resnet.check(config, shape)
        case PretrainedConfig():
            pretrained.check(config, shape)
        case CustomConfig():
            with torch.random.fork_rng(devices=[]):  # a check draws no random numbers of the run
                custom.module(config, shape, outputs=2)


def convolves(config: ModelConfig) -> bool:
    """Whether it is made of convolutions, which want channels last and every core."""
    if isinstance(config, PretrainedConfig):
        return config.tune != "head"  # a head alone is made of linear layers
    return isinstance(config, CnnConfig | VggConfig | ResnetConfig)
