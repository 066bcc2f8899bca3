"""A module of the user's own."""

import copy
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
    with code.blamed(config.function, FIELD):
        with torch.no_grad():  # first: some modules have their weights only then
            answers = [made.eval()(torch.zeros(2, *sizes))]
        answers.append(copy.deepcopy(made).train()(torch.zeros(2, *sizes)))
    given = [_given(answer) for answer in answers]
    wrong = next((one for one in given if one != [2, outputs]), None)
    if wrong is not None:
        raise InvalidInput(
            FIELD, f"{config.function} must give [2, {outputs}] for inputs {[2, *sizes]}, and its module gives {wrong}"
        )
    if not any(one.requires_grad for one in made.parameters()):
        raise InvalidInput(FIELD, f"{config.function} must return a module with weights to train, and it has none")
    return made.train()


def _given(answer: object) -> list[int] | str:
    return list(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__


def _channels_first(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) == 1:
        return tuple(shape)
    return (shape[2] if len(shape) == 3 else 1, shape[0], shape[1])
