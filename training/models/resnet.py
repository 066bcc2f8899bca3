"""Blocks of two 3x3 convolutions over three stages (He et al. 2016, section 4.2: the form for small images)."""

from collections.abc import Sequence

from torch import nn

from tailorbird.errors import InvalidInput
from training.config import ResnetConfig
from training.models.layers import BatchNorm2d, dropout, image
from training.vision import torchvision

STAGES = 3


def layers(config: ResnetConfig, shape: Sequence[int], outputs: int) -> list[nn.Module]:
    """From images of `shape` ([H, W] or [H, W, C]) to logits [N, outputs]; raises InvalidInput as `check` does."""
    check(config, shape)
    *_, channels = image("resnet", shape)
    inputs = config.width
    pool = [nn.MaxPool2d(2)] if config.pool else []
    convolution = nn.Conv2d(channels, inputs, 3, padding=1, bias=False)
    modules: list[nn.Module] = [convolution, *pool, BatchNorm2d(inputs), nn.ReLU()]
    for stage in range(STAGES):
        filters = config.width << stage
        for position in range(blocks(config.depth, stage)):
            stride = 2 if stage and not position else 1
            modules.append((_residual if config.residual else _plain)(inputs, filters, stride))
            inputs = filters
    _initialize(modules)
    return [*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dropout(config.dropout), nn.Linear(inputs, outputs)]


def check(config: ResnetConfig, shape: Sequence[int]) -> None:
    """Raise InvalidInput for rows, and for images that the first layer reduces to nothing."""
    height, width, _ = image("resnet", shape)
    if config.pool and min(height, width) < 2:
        raise InvalidInput("model.pool", f"{height}x{width} pixels cannot be halved; accepted: false")


def blocks(depth: int, stage: int) -> int:
    """The number of `depth` blocks in each stage; the remainder goes to the first stages."""
    return depth // STAGES + (stage < depth % STAGES)


def _residual(inputs: int, filters: int, stride: int) -> nn.Module:
    resnet = torchvision("models.resnet")
    shortcut = None
    if inputs != filters:
        shortcut = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False), BatchNorm2d(filters))
    block: nn.Module = resnet.BasicBlock(inputs, filters, stride, shortcut, norm_layer=BatchNorm2d)
    return block


def _plain(inputs: int, filters: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, filters, 3, stride, padding=1, bias=False), BatchNorm2d(filters), nn.ReLU(),
        nn.Conv2d(filters, filters, 3, padding=1, bias=False), BatchNorm2d(filters), nn.ReLU(),
    )  # fmt: skip


def _initialize(modules: list[nn.Module]) -> None:
    """The initialisation of He et al. 2015, with which deep nets start to learn; torch's own weights are smaller."""
    for layer in nn.ModuleList(modules).modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
