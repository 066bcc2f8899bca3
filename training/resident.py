"""Splits on the device of a run."""

import torch
from torch import Tensor

from training import machine, normalization
from training.arrays import as_tensor
from training.config import RunConfig
from training.splits import Split, Splits


class Resident:
    """A split whose inputs stay on the device for the whole run; on a CPU they are not copied."""

    def __init__(self, split: Split, device: torch.device, beside: "Resident | None" = None) -> None:
        """`beside` is a split that is on the device already, whose inputs may be the same."""
        self._array = split.inputs
        self.together = split.together
        shared = beside is not None and beside._array is split.inputs
        self._inputs: Tensor = beside._inputs if beside and shared else as_tensor(split.inputs).to(device)
        self.places = as_tensor(split.places).to(device)
        self.targets = as_tensor(split.targets).to(device)

    def __len__(self) -> int:
        return len(self.places)

    def inputs_at(self, places: Tensor) -> Tensor:
        return self._inputs.index_select(0, places)  # indexing a mapped array would copy byte by byte


def device(config: RunConfig, splits: Splits) -> torch.device:
    """The device of a run on these splits; raises InvalidInput if it is not available, or has too little memory."""
    return machine.choose_device(config.device, doubles=len(splits.train.shape) == 1 or splits.kind == "regression")


class Data:
    """The splits of a run on its device; runs on the same splits can share them."""

    def __init__(self, splits: Splits, device: torch.device) -> None:
        self.splits, self.device = splits, device
        self.train = Resident(splits.train, device)
        self.validation = Resident(splits.validation, device, self.train)
        self._split = splits.train
        self._moments: dict[str, tuple[Tensor, Tensor]] = {}

    def moments(self, config: RunConfig) -> tuple[Tensor, Tensor]:
        """The statistics by which inputs are normalised; computing them reads all training examples once."""
        if config.normalize not in self._moments:
            self._moments[config.normalize] = normalization.moments(config, self._split)
        mean, deviation = self._moments[config.normalize]
        return mean.clone(), deviation.clone()
