"""Layers that several families share."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tailorbird.errors import InvalidInput
from training.config import Activation

REGISTER = 16
"""Float32 values in a vector register of 512 bits, the widest of x86."""
_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU,
    "silu": nn.SiLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
}  # fmt: skip


class BatchNorm1d(nn.BatchNorm1d):
    """Batch norm of rows; a single row, which has no deviation, is normalised by the running statistics."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (its name in the base)
        return _by_running_figures(self, input) if self.training and _is_single(input) else super().forward(input)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm of images; a single pixel, which has no deviation, is normalised by the running statistics."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (its name in the base)
        return _by_running_figures(self, input) if self.training and _is_single(input) else super().forward(input)


class Conv2d(nn.Conv2d):
    """A convolution; a strided 1x1 one with few input channels subsamples its pixels first.

    For these, oneDNN (3.x, channels last, fewer channels than a vector register holds) writes past the end of a buffer
    in the backward pass, which crashes the process or corrupts memory:
    https://github.com/uxlfoundation/oneDNN/issues/6035.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (its name in the base)
        point = self.kernel_size == (1, 1) and self.padding in ((0, 0), "valid") and self.stride != (1, 1)
        if point and self.in_channels < REGISTER and torch.is_grad_enabled():
            rows, columns = self.stride
            return functional.conv2d(input[..., ::rows, ::columns], self.weight, self.bias, groups=self.groups)
        return super().forward(input)


class Dropout(nn.Dropout):
    """Dropout whose random numbers do not depend on its rate, so that runs with one seed can share them.

    Drawing them takes a third of the time of `bernoulli_` on a CPU.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (its name in the base)
        if not self.training:
            return input
        return input * mask(torch.rand_like(input, dtype=torch.float32), self.p, input.dtype)


def mask(drawn: Tensor, rate: Tensor | float, kind: torch.dtype) -> Tensor:
    """What dropout multiplies by where `drawn` is uniform in [0, 1)."""
    return (drawn >= rate).to(kind).div_(1 - rate)


def activation(name: Activation) -> nn.Module:
    return _ACTIVATIONS[name]()


def dropout(rate: float) -> list[nn.Module]:
    """No layer if the rate is 0."""
    return [Dropout(rate)] if rate else []


def each(value: Any, depth: int) -> list[Any]:
    """The value for each of `depth` layers or blocks: a single value applies to all."""
    return value if isinstance(value, list) else [value] * depth


def image(family: str, shape: Sequence[int]) -> tuple[int, int, int]:
    """Height, width and channels of [H, W] or [H, W, C]; raises InvalidInput for rows, which cannot be convolved."""
    if len(shape) == 1:
        raise InvalidInput(
            "model.family", f"{family} requires images, and these are rows of a table; accepted: linear, mlp or custom"
        )
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


# only in training: an export must work for every size
def _is_single(values: Tensor) -> bool:
    return values.numel() == values.shape[1]


def _by_running_figures(norm: nn.BatchNorm1d | nn.BatchNorm2d, values: Tensor) -> Tensor:
    return functional.batch_norm(values, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
