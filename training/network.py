"""The network of a run, with new or existing weights."""

import torch
from torch import nn

from tailorbird import settings
from training import backbones, checkpoint, features, machine, models, normalization, objectives
from training.config import PretrainedConfig, RunConfig
from training.models import Denormalize, Normalize
from training.models.pretrained import Backbone
from training.resident import Data
from training.splits import Splits


def fresh(config: RunConfig, splits: Splits, data: Data | None = None) -> nn.Sequential:
    """The network of a config with initial weights by its seed, normalising by statistics of the training examples.

    `data` are the splits if they are on the device already, whose statistics are known.
    """
    last = Denormalize(*normalization.of_targets(splits.train)) if splits.kind == "regression" else None
    if not isinstance(config.model, PretrainedConfig) or len(splits.train.shape) == 1:
        moments = data.moments(config) if data else normalization.moments(config, splits.train)
        return _built(config, splits, Normalize(*moments), last)
    network = _built(config, splits, Normalize(*features.pixels(splits.train.shape)), last)
    backbones.load(_backbone(network).body, config.model, settings.load())
    return network


def restored(config: RunConfig, splits: Splits, weights: bytes) -> nn.Sequential:
    """The network of a checkpoint, without reading any example; raises Corrupt if the weights do not fit it."""
    network = blank(config, splits)
    checkpoint.restore(network, _whole(config, splits, weights, network))
    return network


def whole(config: RunConfig, splits: Splits, weights: bytes) -> bytes:
    """A checkpoint of the whole network: that of a head is joined with the backbone that it was trained on."""
    return _whole(config, splits, weights, blank(config, splits)) if _is_frozen(config, splits) else weights


def _is_frozen(config: RunConfig, splits: Splits) -> bool:
    return features.frozen(config) and len(splits.train.shape) > 1


def _whole(config: RunConfig, splits: Splits, weights: bytes, network: nn.Sequential) -> bytes:
    """`network` is untrained; the backbone's weights are loaded into it."""
    if not (isinstance(config.model, PretrainedConfig) and _is_frozen(config, splits)):
        return weights
    head = checkpoint.decode(weights)
    if network.state_dict().keys() == head.keys():
        return weights
    backbones.load(_backbone(network).body, config.model, settings.load())
    network[0] = Normalize(*features.pixels(splits.train.shape))
    # the head's first layer, which normalises features, comes after the normalisation of pixels and the backbone
    moved = {f"{int(name.partition('.')[0]) + 2}.{name.partition('.')[2]}": tensor for name, tensor in head.items()}
    return checkpoint.encode({**network.state_dict(), **moved})


def _backbone(network: nn.Sequential) -> Backbone:
    backbone = network[1]
    assert isinstance(backbone, Backbone)  # noqa: S101 - as `models.build` puts them together
    return backbone


def blank(config: RunConfig, splits: Splits) -> nn.Sequential:
    """A network whose weights and normalisation are still to be loaded."""
    last = Denormalize(0.0, 1.0) if splits.kind == "regression" else None
    return _built(config, splits, Normalize.blank(splits.train.shape), last)


def _built(config: RunConfig, splits: Splits, normalize: Normalize, last: Denormalize | None) -> nn.Sequential:
    outputs = objectives.outputs(splits.kind, splits.classes)
    try:
        with machine.seeded(config.seed):
            network = models.build(config.model, splits.train.shape, outputs, normalize, last)
    except RuntimeError as error:
        raise machine.of_memory(error, 1) from None
    if models.convolves(config.model) or isinstance(config.model, PretrainedConfig):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from its stubs
    return network
