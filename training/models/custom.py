"""A module of the user's own."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tailorbird.errors import InvalidInput
from training import code
from training.config import CustomConfig

FIELD = "model.function"


def module(config: CustomConfig, shape: Sequence[int], outputs: int) -> nn.Module:
    """What the user's function returns, tried once on two inputs; raises InvalidInput where it is of no use."""
    sizes = _channels_first(shape)
    function = code.load(config.function, FIELD)
    with code.blamed(config.function, FIELD):
        made = function(sizes, outputs, **config.arguments)
    if not isinstance(made, nn.Module):
        raise InvalidInput(FIELD, f"{config.function} must return a torch.nn.Module, not {type(made).__name__}")
    with code.blamed(config.function, FIELD), torch.no_grad():
        answer = made.eval()(torch.zeros(2, *sizes))
    given = list(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
    if given != [2, outputs]:
        raise InvalidInput(
            FIELD, f"{config.function} must give [2, {outputs}] for inputs {[2, *sizes]}, and its module gives {given}"
        )
    return made.train()


def _channels_first(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) == 1:
        return tuple(shape)
    return (shape[2] if len(shape) == 3 else 1, shape[0], shape[1])
