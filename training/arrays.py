"""Arrays and tensors that share memory and keep enough precision."""

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def as_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor that shares the array's memory; do not write to it."""
    with warnings.catch_warnings():  # arrays from Ray's object store are read-only, and we only read them
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def widened(tensor: Tensor) -> Tensor:
    """A tensor as float32, unless it is float64 already."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
