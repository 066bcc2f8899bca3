"""A split on the device that a run computes on."""

import torch
from torch import Tensor

from training.arrays import as_tensor
from training.splits import Split


class Resident:
    """A split whose inputs lie on the device for the whole run; on a CPU that is where they are already."""

    def __init__(self, split: Split, device: torch.device, beside: "Resident | None" = None) -> None:
        """`beside` is a split that is there already, perhaps of the same inputs."""
        self._array = split.inputs
        self.together = split.together
        shared = beside is not None and beside._array is split.inputs
        self._inputs: Tensor = beside._inputs if beside and shared else as_tensor(split.inputs).to(device)
        self.places = as_tensor(split.places).to(device)
        self.targets = as_tensor(split.targets).to(device)

    def __len__(self) -> int:
        return len(self.places)

    def inputs_at(self, places: Tensor) -> Tensor:
        return self._inputs.index_select(0, places)  # inputs[...] would copy byte by byte
