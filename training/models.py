"""The families of models. Every network takes uint8 pixels and normalises them itself, so its export does too."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tailorbird.errors import InvalidInput
from training.config import CnnConfig, LinearConfig, MlpConfig


class Normalize(nn.Module):
    """uint8 pixels [N, H, W] or [N, H, W, C] to float [N, C, H, W] with mean 0 and deviation 1 per channel.

    `mean` and `deviation` are given on the scale of 0 to 1.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(deviation).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        channels_first = pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)
        return (channels_first.to(torch.float32) - self.mean) / self.deviation


def build(
    config: LinearConfig | MlpConfig | CnnConfig, shape: Sequence[int], classes: int,
    mean: Sequence[float], deviation: Sequence[float],
) -> nn.Sequential:  # fmt: skip
    """A network from pixels of `shape` ([H, W] or [H, W, C]) to logits [N, classes]."""
    channels = shape[2] if len(shape) == 3 else 1
    pixels = shape[0] * shape[1] * channels
    layers: list[nn.Module]
    match config:
        case LinearConfig():
            layers = [nn.Flatten(), nn.Linear(pixels, classes)]
        case MlpConfig():
            layers = _mlp(config, pixels, classes)
        case CnnConfig():
            layers = _cnn(config, shape, channels, classes)
    return nn.Sequential(Normalize(mean, deviation), *layers)


def check(config: LinearConfig | MlpConfig | CnnConfig, shape: Sequence[int]) -> None:
    """Raise InvalidInput where a model does not fit images of `shape` ([H, W] or [H, W, C])."""
    smallest = min(shape[0], shape[1])
    if isinstance(config, CnnConfig) and smallest >> config.depth < 1:
        raise InvalidInput(
            "model.depth",
            f"{config.depth} blocks halve {shape[0]}x{shape[1]} pixels to nothing; "
            f"accepted: at most {smallest.bit_length() - 1}",
        )


def widths(config: MlpConfig | CnnConfig) -> list[int]:
    """The width of each hidden layer or block."""
    return config.width if isinstance(config.width, list) else [config.width] * config.depth


def _mlp(config: MlpConfig, inputs: int, classes: int) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Flatten()]
    for width in widths(config):
        layers += [nn.Linear(inputs, width), nn.ReLU(), *_dropout(config.dropout)]
        inputs = width
    return [*layers, nn.Linear(inputs, classes)]


def _cnn(config: CnnConfig, shape: Sequence[int], channels: int, classes: int) -> list[nn.Module]:
    check(config, shape)
    smallest = min(shape[0], shape[1])
    layers: list[nn.Module] = []
    for block, width in enumerate(widths(config), 1):
        pool, norm = nn.MaxPool2d(2), nn.BatchNorm2d(width)
        # pooled first, there is a quarter to normalise; but a last batch of one image has nothing to normalise in 1x1
        middle = [pool, norm] if smallest >> block > 1 else [norm, pool]
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False), *middle, nn.ReLU(), *_dropout(config.dropout)
        ]  # fmt: skip
        channels = width
    cells = (shape[0] >> config.depth) * (shape[1] >> config.depth)
    return [*layers, nn.Flatten(), nn.Linear(channels * cells, classes)]


def _dropout(rate: float) -> list[nn.Module]:
    return [nn.Dropout(rate)] if rate else []
