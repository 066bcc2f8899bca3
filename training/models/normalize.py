"""Normalisation: the first layer of every network, and the last layer of those that predict numbers.

Both compute in float64: of a date in seconds, or an identifier, float32 keeps only the leading digits, which are the
same in every row.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """(inputs - mean) / deviation, with one of each for every channel or column, on the scale of the inputs.

    uint8 images [N, H, W] or [N, H, W, C] become float32 [N, C, H, W]; rows [N, columns] are centred and divided in
    float64 before they become float32.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor | Sequence[float], deviation: Tensor | Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.as_tensor(deviation).view(1, -1, 1, 1))

    @classmethod
    def blank(cls, shape: Sequence[int]) -> Self:
        """An identity for inputs of `shape`, until a checkpoint sets mean and deviation."""
        channels, kind = 1 if len(shape) == 2 else shape[-1], torch.float64 if len(shape) == 1 else torch.float32
        return cls(torch.zeros(channels, dtype=kind), torch.ones(channels, dtype=kind))

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.dim() == 2:
            return ((inputs.to(torch.float64) - self.mean.flatten()) / self.deviation.flatten()).to(torch.float32)
        channels_first = inputs.unsqueeze(1) if inputs.dim() == 3 else inputs.permute(0, 3, 1, 2)
        return (channels_first.to(torch.float32) - self.mean) / self.deviation


class Denormalize(nn.Module):
    """outputs [N, 1] * deviation + mean, as float64, which converts them to the units of the target."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor | float, deviation: Tensor | float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float64))
        self.register_buffer("deviation", torch.as_tensor(deviation, dtype=torch.float64))

    def forward(self, outputs: Tensor) -> Tensor:
        return outputs.to(torch.float64) * self.deviation + self.mean
