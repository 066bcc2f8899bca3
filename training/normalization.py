"""By what inputs, and numbers to predict, are shifted and divided: figures of the training split."""

import torch
from torch import Tensor

from training.arrays import as_tensor
from training.config import RunConfig
from training.splits import Split

ROUNDING = 1e-7
"""What varies by less than this share of itself holds one value throughout, to float32."""


def moments(config: RunConfig, split: Split) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the inputs, float32 [channels] or [columns], on their scale.

    `standard` makes them those of the split; `unit` and `symmetric` bring what images can hold, and what the columns
    of the split do hold, to 0..1 and -1..1.
    """
    if config.normalize == "none":
        channels = split.shape[-1] if len(split.shape) != 2 else 1
        return torch.zeros(channels), torch.ones(channels)
    mean, deviation = _of_rows(config, split) if len(split.shape) == 1 else _of_images(config, split)
    return mean, deviation


def of_targets(split: Split) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the numbers to predict, float32 []."""
    numbers = as_tensor(split.targets).double()
    mean = numbers.mean()
    return mean.float(), _divisor(numbers.std(correction=0), mean)


def _of_rows(config: RunConfig, split: Split) -> tuple[Tensor, Tensor]:
    rows = torch.cat([as_tensor(batch).double() for batch in split.blocks()])
    if config.normalize == "standard":
        mean = rows.mean(0)
        return mean.float(), _divisor(rows.std(0, correction=0), mean)
    return _range(config, rows.amin(0), rows.amax(0))


def _of_images(config: RunConfig, split: Split) -> tuple[Tensor, Tensor]:
    channels = split.shape[2] if len(split.shape) == 3 else 1
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
    return 255 * torch.tensor(means), 255 * _divisor(deviation, torch.ones(channels))


def _range(config: RunConfig, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    width = _divisor(high - low, torch.maximum(low.abs(), high.abs()))
    if config.normalize == "unit":
        return low.float(), width
    return ((low + high) / 2).float(), width / 2


def _divisor(spread: Tensor, size: Tensor) -> Tensor:
    """The spread as float32, or 1 where all values are the same: another one that comes later is not blown up."""
    least = (ROUNDING * size.abs()).float()
    return torch.where(spread.float() > least, spread.float(), torch.ones(()))
