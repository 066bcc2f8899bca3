"""The first layer of every network, which makes it take raw inputs, and the last one of those that give a number."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Inputs less `mean`, over `deviation`: one of each for every channel or column, on the scale of the inputs.

    uint8 images [N, H, W] or [N, H, W, C] become float32 [N, C, H, W]; rows [N, columns] stay so, as float32.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor | Sequence[float], deviation: Tensor | Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.as_tensor(deviation, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.dim() == 2:
            return (inputs.to(torch.float32) - self.mean.flatten()) / self.deviation.flatten()
        channels_first = inputs.unsqueeze(1) if inputs.dim() == 3 else inputs.permute(0, 3, 1, 2)
        return (channels_first.to(torch.float32) - self.mean) / self.deviation


class Denormalize(nn.Module):
    """Outputs [N, 1] times `deviation`, plus `mean`: both of what is predicted, in whose units they then are."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor | float, deviation: Tensor | float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.as_tensor(deviation, dtype=torch.float32))

    def forward(self, outputs: Tensor) -> Tensor:
        return outputs.to(torch.float32) * self.deviation + self.mean
