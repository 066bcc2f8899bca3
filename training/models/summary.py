"""A summary of a network, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layer:
    """One layer in the order of computation; `shape` is that of its output without the batch."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def summary(network: nn.Module, shape: Sequence[int]) -> list[Layer]:
    """The layers that one input of `shape` ([H, W], [H, W, C] or [columns]) passes, each with its own parameters.

    A layer that is used twice is listed twice, the second time without parameters.
    """
    rows: list[Layer] = []
    counted: set[nn.Parameter] = set()

    def note(name: str, layer: nn.Module, output: Any) -> None:
        own = set(layer.parameters(recurse=False)) - counted
        counted.update(own)
        tensor = output if isinstance(output, Tensor) else output[0]
        rows.append(
            Layer(name, type(layer).__name__, tuple(tensor.shape[1:]), sum(parameter.numel() for parameter in own))
        )

    hooks = [
        layer.register_forward_hook(lambda layer, _, output, name=name: note(name, layer, output))
        for name, layer in network.named_modules()
        if not list(layer.children()) or list(layer.parameters(recurse=False))
    ]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(_example(network, shape))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return rows


def _example(network: nn.Module, shape: Sequence[int]) -> Tensor:
    device = next((tensor.device for tensor in network.state_dict().values()), None)
    return torch.zeros((1, *shape), dtype=torch.float32 if len(shape) == 1 else torch.uint8, device=device)
