"""Arrays and tensors: of one memory, and of enough precision."""

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def as_tensor(array: NDArray[Any]) -> Tensor:
    """The array's own memory as a tensor, not to be written to."""
    with warnings.catch_warnings():  # arrays from Ray's object store are read-only, and we only read them
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def widened(tensor: Tensor) -> Tensor:
    """A tensor as float32 at the least: float64 stays what it is."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
