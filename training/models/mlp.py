"""A multilayer perceptron."""

from torch import nn

from training.config import MlpConfig
from training.models.layers import BatchNorm1d, activation, dropout, each


def layers(config: MlpConfig, inputs: int, outputs: int) -> list[nn.Module]:
    """From `inputs` values of an image or row to logits [N, outputs]."""
    modules: list[nn.Module] = [nn.Flatten()]
    for width, rate in zip(each(config.width, config.depth), each(config.dropout, config.depth), strict=True):
        norm = [BatchNorm1d(width)] if config.batch_norm else []
        # batch norm has a shift of its own, so a bias before it would do nothing
        modules += [nn.Linear(inputs, width, bias=not norm), *norm, activation(config.activation), *dropout(rate)]
        inputs = width
    return [*modules, nn.Linear(inputs, outputs)]
