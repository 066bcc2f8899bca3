"""Normalisation of inputs and regression targets by statistics of the training split."""

import torch
from torch import Tensor

from training.arrays import as_tensor
from training.config import RunConfig
from training.splits import Split

ROUNDING = 1e-7
"""Pixels whose deviation is a smaller share of their range count as constant."""


def moments(config: RunConfig, split: Split) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the inputs on their scale, float32 [channels] for images, float64 [columns] for rows.

    `standard` takes those of the split; `unit` and `symmetric` map the range of image values, and the range of each
    column in the split, to 0..1 and -1..1.
    """
    return _of_rows(config, split) if len(split.shape) == 1 else _of_images(config, split)


def of_targets(split: Split) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the numbers to predict, float64 []."""
    numbers = as_tensor(split.targets).double()
    return numbers.mean(), _divisor(numbers.std(correction=0), numbers.amax() - numbers.amin())


def _of_rows(config: RunConfig, split: Split) -> tuple[Tensor, Tensor]:
    columns = split.shape[0]
    if config.normalize == "none":
        return torch.zeros(columns, dtype=torch.float64), torch.ones(columns, dtype=torch.float64)
    rows = torch.cat([as_tensor(batch).double() for batch in split.blocks()])
    low, high = rows.amin(0), rows.amax(0)
    if config.normalize == "standard":
        return rows.mean(0), _divisor(rows.std(0, correction=0), high - low)
    return _range(config, low, high)


def _of_images(config: RunConfig, split: Split) -> tuple[Tensor, Tensor]:
    channels = split.shape[2] if len(split.shape) == 3 else 1
    if config.normalize == "none":
        return torch.zeros(channels), torch.ones(channels)
    if config.normalize != "standard":
        return _range(config, torch.zeros(channels), torch.full((channels,), 255.0))
    # sums of a histogram are exact, and never make a float copy of the data set
    counts = torch.zeros(channels, 256, dtype=torch.int64)
    for batch in split.blocks():
        for channel, values in enumerate(as_tensor(batch).reshape(-1, channels).unbind(1)):
            counts[channel] += torch.bincount(values, minlength=256)
    values = torch.arange(256, dtype=torch.float64) / 255
    shares = counts.double() / counts.sum(1, keepdim=True)
    means = [float(share @ values) for share in shares]
    variances = [float(share @ (values - mean) ** 2) for share, mean in zip(shares, means, strict=True)]
    deviation = torch.tensor(variances, dtype=torch.float64).sqrt()
    varying = torch.where(deviation > ROUNDING, deviation, 0)
    return 255 * torch.tensor(means), 255 * _divisor(varying, varying).float()


def _range(config: RunConfig, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    width = _divisor(high - low, high - low)
    return (low, width) if config.normalize == "unit" else ((low + high) / 2, width / 2)


def _divisor(spread: Tensor, width: Tensor) -> Tensor:
    """The deviation, or 1 if all values are the same, so that a later, different value is not blown up.

    For numbers so small that their squares are 0 it is their range.
    """
    return torch.where(width > 0, torch.where(spread > 0, spread, width), torch.ones_like(spread))
