"""Dataset: the examples that a model learns from, with their targets, classes and splits."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird.package.signature import DEPTH, GROUND
from training.config import Kind

Images = NDArray[np.uint8]
Inputs = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]
Targets = NDArray[np.int64] | NDArray[np.float32] | NDArray[np.float64]

PARTS = ("train", "validation", "test")
"""Splits that a set may come with."""
BLOCK_BYTES = 2**24
LARGEST = float(np.finfo(np.float32).max)
"""The largest number accepted: float64 can still hold its square."""


@dataclass(frozen=True)
class Dataset:
    """N examples, each with the target to be predicted.

    `inputs` are images, uint8 [N, H, W] or [N, H, W, 3], or the rows of a table, float64 [N, columns]; they may lie on
    disk. `targets` are indices of `classes`, int64 [N], where the kind is multiclass or binary; 0 or 1 for each class,
    float32 [N, classes], where it is multilabel; numbers, float64 [N], where it is regression, whose only class is
    their name. `test` and `validation` are None if the set has no such split. `notes` say what was done to the files;
    `depth` and `ground` how image files were converted to pixels (`tailorbird.images`).
    """

    name: str
    classes: tuple[str, ...]
    inputs: Inputs
    targets: Targets
    test: tuple[Inputs, Targets] | None = None
    kind: Kind = "multiclass"
    columns: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    validation: tuple[Inputs, Targets] | None = None
    depth: int = DEPTH
    ground: int = GROUND

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.inputs.shape[1:]

    @property
    def parts(self) -> dict[str, tuple[Inputs, Targets]]:
        """The splits that the set comes with: `train`, then `validation` and `test` if it has them."""
        parts = zip(PARTS, ((self.inputs, self.targets), self.validation, self.test), strict=True)
        return {name: part for name, part in parts if part is not None}

    def record(self) -> dict[str, Any]:
        """What the set holds: shapes, counts by class or the spread of its numbers, and its digest."""
        targets = dict.fromkeys(PARTS, self.targets[:0])
        targets |= {name: part[1] for name, part in self.parts.items()}
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "dtype": str(self.inputs.dtype),
            "classes": list(self.classes),
            "columns": None if self.columns is None else list(self.columns),
            **{name: len(target) for name, target in targets.items()},
            **self._targets(targets),
            "notes": list(self.notes),
            "sha256": self.digest(),
        }

    def _targets(self, parts: dict[str, Targets]) -> dict[str, Any]:
        if self.kind == "regression":
            return {"values": {name: _spread(targets) for name, targets in parts.items() if len(targets)}}
        counts = {name: self._counts(targets) for name, targets in parts.items()}
        return {
            "counts": {
                label: {name: int(counted[index]) for name, counted in counts.items()}
                for index, label in enumerate(self.classes)
            }
        }

    def _counts(self, targets: Targets) -> NDArray[Any]:
        if self.kind == "multilabel":
            return targets.sum(0, dtype=np.int64)  # type: ignore[no-any-return]
        return np.bincount(targets.astype(np.int64, copy=False), minlength=len(self.classes))

    def digest(self) -> str:
        """SHA-256 over all inputs and targets, in order, and their names."""
        total = hashlib.sha256(json.dumps([self.kind, self.classes, self.columns]).encode())
        for name, part in self.parts.items():
            if name == "validation":  # so that a validation and a test split of equal content differ
                total.update(name.encode())
            for array in part:
                for block in blocks(array):
                    total.update(block.data)
        return total.hexdigest()


def blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array's rows in contiguous blocks of a few megabytes, so that an array on disk never fills the memory."""
    plain = np.asarray(array)
    rows = max(1, BLOCK_BYTES // max(1, math.prod(plain.shape[1:]) * plain.itemsize))
    for start in range(0, len(plain), rows):
        yield np.ascontiguousarray(plain[start : start + rows])


def _spread(values: Targets) -> dict[str, float]:
    measured = {"mean": values.mean(dtype=np.float64), "deviation": values.std(dtype=np.float64)}
    return {name: float(number) for name, number in {**measured, "least": values.min(), "most": values.max()}.items()}
