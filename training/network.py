"""The network of a run: a fresh one, or one of weights that are there already."""

import torch
from torch import nn

from training import checkpoint, machine, models, normalization, objectives
from training.config import RunConfig
from training.models import Denormalize, Normalize
from training.splits import Splits


def fresh(config: RunConfig, splits: Splits) -> nn.Sequential:
    """The network of a config with first weights by its seed, normalising by figures of the training examples."""
    last = Denormalize(*normalization.of_targets(splits.train)) if splits.kind == "regression" else None
    return _built(config, splits, Normalize(*normalization.moments(config, splits.train)), last)


def restored(config: RunConfig, splits: Splits, weights: bytes) -> nn.Sequential:
    """The network of a checkpoint, for which no example is read; raises Corrupt where the weights are not its own."""
    network = blank(config, splits)
    checkpoint.restore(network, weights)
    return network


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
    if models.convolves(config.model):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from its stubs
    return network
