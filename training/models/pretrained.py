"""A backbone that was trained on other images, and a head on its features."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tailorbird.errors import InvalidInput
from training import code
from training.config import BACKBONES, PretrainedConfig
from training.models.layers import activation, dropout, each, image
from training.models.normalize import Normalize
from training.vision import torchvision

LEAST_SIDE = 32
"""The smallest side in pixels: the stages of these networks halve it five times."""
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Mean and deviation of ImageNet's pixels by channel, as torchvision's weights expect (their `transforms()`)."""
LAST_STAGE = {
    "resnet18": ["layer4"], "resnet50": ["layer4"], "mobilenet_v3_small": ["features.10", "features.11", "features.12"],
    "mobilenet_v3_large": ["features.14", "features.15", "features.16"],
    "efficientnet_b0": ["features.7", "features.8"], "convnext_tiny": ["features.7", "classifier"],
}  # fmt: skip
"""Modules that `tune: last` trains."""


class Backbone(nn.Module):
    """From normalised images [N, 1 or 3, H, W] to features [N, width]; grey ones are shown in all three channels.

    Frozen layers stay in evaluation mode, and so does batch norm unless it is to `count`: statistics of few images are
    worse than those of its training.
    """

    def __init__(self, body: nn.Module, tuned: Sequence[nn.Module], *, count: bool) -> None:
        super().__init__()
        self.body = body.requires_grad_(False)
        self._tuned, self._count = tuple(tuned), count
        for module in tuned:
            module.requires_grad_(True)

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.body(inputs.expand(-1, 3, -1, -1))
        return features.flatten(1)

    def train(self, mode: bool = True) -> "Backbone":
        super().train(False)
        for module in self._tuned:
            for layer in module.modules():
                layer.training = mode and (self._count or not isinstance(layer, _BatchNorm))
        return self


def layers(config: PretrainedConfig, shape: Sequence[int], outputs: int) -> list[nn.Module]:
    """From normalised images of `shape`, or from features [width] where the backbone is frozen, to logits [N, outputs].

    Raises InvalidInput as `check` does. The backbone has random weights: `training.backbones` loads its own.
    """
    if len(shape) == 1:
        return head(config, shape[0], outputs)
    check(config, shape)
    backbone = backbone_of(config)
    width = features(backbone, shape)
    frozen = [Normalize.blank([width])] if config.tune == "head" else []
    return [backbone, *frozen, *head(config, width, outputs)]


def check(config: PretrainedConfig, shape: Sequence[int]) -> None:
    """Raise InvalidInput for rows, and for images that are too small."""
    if len(shape) == 1:
        return  # features of a frozen backbone; tables are refused by `requirements`
    height, width, _ = image("pretrained", shape)
    if min(height, width) < LEAST_SIDE:
        raise InvalidInput(
            "model.family",
            f"{config.backbone} requires sides of {LEAST_SIDE} pixels or more, not images of {height}x{width}; resize "
            f"files of your own by data.size, or use another family, such as cnn or resnet",
        )


def backbone_of(config: PretrainedConfig) -> Backbone:
    """The backbone with random weights."""
    body = _published(config.backbone) if config.backbone in BACKBONES else _own(config.backbone)
    return Backbone(body, _tuned(config, body), count=config.batch_norm)


def _tuned(config: PretrainedConfig, body: nn.Module) -> list[nn.Module]:
    match config.tune:
        case "head":
            return []
        case "all":
            return [body]
    last = LAST_STAGE.get(config.backbone)
    if last is not None:
        return [body.get_submodule(name) for name in last]
    weighty = [body]
    while len(weighty) == 1:  # a wrapper of a network is not one of its stages
        inner = [child for child in weighty[0].children() if any(True for _ in child.parameters())]
        if not inner:
            break
        weighty = inner
    return weighty[-1:]


def features(backbone: Backbone, shape: Sequence[int]) -> int:
    """The number of features that a backbone returns for an image; raises InvalidInput if it returns none."""
    height, width, _ = image("pretrained", shape)
    backbone.eval()
    try:
        with torch.no_grad():
            features: Tensor = backbone(torch.zeros(1, 3, height, width))
    except Exception as error:  # of any kind: it may be the user's own code
        problem = f"fails on images of {height}x{width} pixels: {error}"
        raise InvalidInput("model.backbone", problem) from None
    return math.prod(features.shape[1:])


def head(config: PretrainedConfig, inputs: int, outputs: int) -> list[nn.Module]:
    """Linear layers from features [N, inputs] to logits [N, outputs]."""
    modules: list[nn.Module] = []
    for width in each(config.width, config.depth):
        modules += [*dropout(config.dropout), nn.Linear(inputs, width), activation(config.activation)]
        inputs = width
    return [*modules, *dropout(config.dropout), nn.Linear(inputs, outputs)]


def _published(name: str) -> nn.Module:
    body: nn.Module = torchvision("models").get_model(name, weights=None)
    last = "fc" if name.startswith("resnet") else "classifier.2" if name.startswith("convnext") else "classifier"
    body.set_submodule(last, nn.Identity())
    return body


def _own(reference: str) -> nn.Module:
    function = code.load(reference, "model.backbone")
    with code.blamed(reference, "model.backbone"):
        body = function()
    if not isinstance(body, nn.Module):
        raise InvalidInput("model.backbone", f"{reference} must return a torch.nn.Module, not {type(body).__name__}")
    if any(isinstance(layer, _BatchNorm) and layer.running_mean is None for layer in body.modules()):
        raise InvalidInput(
            "model.backbone",
            f"{reference} has batch norm with track_running_stats=False, which makes answers depend on their batch; "
            f"remove it",
        )
    return body
