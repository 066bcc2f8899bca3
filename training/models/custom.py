"""The user's own module."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tailorbird.errors import InvalidInput
from training import code
from training.config import CustomConfig

FIELD = "model.function"
PROBES = 2
TOLERANCE = 1e-3
"""The tolerated difference between outputs for one row and for several, relative to the largest output."""


def module(config: CustomConfig, shape: Sequence[int], outputs: int) -> nn.Module:
    """The module that the user's function returns, tested on some inputs; raises InvalidInput if it cannot be used."""
    sizes = _channels_first(shape)
    function = code.load(config.function, FIELD)
    with code.blamed(config.function, FIELD):
        module = function(sizes, outputs, **config.arguments)
    if not isinstance(module, nn.Module):
        raise InvalidInput(FIELD, f"{config.function} must return a torch.nn.Module, not {type(module).__name__}")
    inputs = torch.randn(PROBES, *sizes, generator=torch.Generator().manual_seed(0))
    with code.blamed(config.function, FIELD):
        with torch.no_grad():  # first: lazy modules create their weights in it
            together = module.eval()(inputs)
        answers = [together, copy.deepcopy(module).train()(inputs)]
    shapes = [_given(answer) for answer in answers]
    wrong = next((shape for shape in shapes if shape != [PROBES, outputs]), None)
    if wrong is not None:
        raise InvalidInput(
            FIELD,
            f"{config.function} must return a module that maps {[PROBES, *sizes]} to [{PROBES}, {outputs}], not to "
            f"{wrong}",
        )
    _check_alone(config.function, module, inputs, together)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InvalidInput(FIELD, f"{config.function} must return a module with trainable weights")
    return module.train()


def _check_alone(function: str, module: nn.Module, inputs: Tensor, together: Tensor) -> None:
    """Refuse a module that fails on a single input, or whose output for an input depends on the rest of the batch."""
    try:
        with torch.no_grad():
            alone = torch.cat([module(example) for example in inputs.split(1)])
        apart = float((alone - together).abs().max() / together.abs().max().clamp(min=1))
    except Exception as error:  # of the user's own code
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(FIELD, f"{function}: its module fails on a single input: {reason}") from None
    if apart > TOLERANCE:  # NaN is accepted: the weights are not trained yet
        raise InvalidInput(
            FIELD,
            f"{function}: the output of its module for an input depends on the rest of the batch, or on chance; look "
            f"for a layer that reduces the first axis, such as softmax with dim=0",
        )


def _given(answer: object) -> list[int] | str:
    return list(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__


def _channels_first(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) == 1:
        return tuple(shape)
    return (shape[2] if len(shape) == 3 else 1, shape[0], shape[1])
