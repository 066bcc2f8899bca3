"""Stages of 3x3 convolutions, each ending with pooling (Simonyan & Zisserman 2015). torchvision's VGG expects three
channels and 224 pixels; this one has as many stages as a small image can be halved.
"""

from collections.abc import Sequence

from torch import nn

from tailorbird.errors import InvalidInput
from training.config import VggConfig
from training.models.layers import BatchNorm2d, activation, dropout, image


def layers(config: VggConfig, shape: Sequence[int], outputs: int) -> list[nn.Module]:
    """From images of `shape` ([H, W] or [H, W, C]) to logits [N, outputs]; raises InvalidInput as `fitted` does."""
    stages = fitted(config, shape)
    height, width, channels = image("vgg", shape)
    modules: list[nn.Module] = []
    for number, convolutions in enumerate(stages):
        filters = config.width << number
        for _ in range(convolutions):
            modules += _convolution(config, channels, filters)
            channels = filters
        modules += [nn.MaxPool2d(2), *dropout(config.dropout)]
    cells = (height >> len(stages)) * (width >> len(stages))
    return [*modules, nn.Flatten(), nn.Linear(channels * cells, outputs)]


def fitted(config: VggConfig, shape: Sequence[int]) -> list[int]:
    """How many convolutions each stage has; raises InvalidInput if the stages halve the image to nothing."""
    height, width, _ = image("vgg", shape)
    full, rest = divmod(config.depth, config.convolutions)
    stages = [config.convolutions] * full + [rest] * bool(rest)
    if (most := min(height, width).bit_length() - 1) < len(stages):
        accepted = (
            f"at most {most * config.convolutions}, or more model.convolutions"
            if most
            else "cnn, with model.pool: none"
        )
        raise InvalidInput(
            "model.depth" if most else "model.family",
            f"{len(stages)} stages halve {height}x{width} pixels to nothing; accepted: {accepted}",
        )
    return stages


def _convolution(config: VggConfig, channels: int, filters: int) -> list[nn.Module]:
    norm = [BatchNorm2d(filters)] if config.batch_norm else []
    return [nn.Conv2d(channels, filters, 3, padding=1, bias=not norm), *norm, activation(config.activation)]
