"""Numbers that differ in the data but are equal to a network, which computes in float32."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets import Dataset, Inputs

ROWS = 100_000
"""How many of the first rows of a large table are checked."""
MOST_LOST = 0.01
"""The share of distinct values that must remain: a few close ones may become equal by rounding without harm."""


def notes(dataset: Dataset) -> Iterator[str]:
    """A note for each column, and for the numbers to predict, whose values become equal.

    That happens if an outlier takes up almost the whole scale.
    """
    far = "remove the outliers"
    if len(dataset.shape) == 1:
        for name, values in _columns(dataset.columns, dataset.inputs[:ROWS]):
            yield from _note(name, values, _scaled(values), far)
    if dataset.kind == "regression":
        values = dataset.targets[:ROWS]
        yield from _note("the numbers to predict", values, _scaled(values), far)


def unscaled(columns: Sequence[str] | None, rows: Inputs) -> Iterator[str]:
    """A note for each column of rows [N, columns] whose values become equal without normalisation."""
    for name, values in _columns(columns, rows):
        yield from _note(name, values, values, "set normalize: standard")


def _columns(columns: Sequence[str] | None, rows: Inputs) -> Iterator[tuple[str, NDArray[Any]]]:
    names = columns or [f"column {number}" for number in range(1, rows.shape[1] + 1)]
    return zip(names, rows.T, strict=True)


def _scaled(values: NDArray[Any]) -> NDArray[Any]:
    spread = float(values.std(dtype=np.float64)) or float(np.ptp(values)) or 1.0  # squares of tiny numbers are 0
    return np.asarray((values.astype(np.float64) - values.mean(dtype=np.float64)) / spread)


def _note(name: str, values: NDArray[Any], seen: NDArray[Any], advice: str) -> Iterator[str]:
    different, left = len(np.unique(values)), len(np.unique(seen.astype(np.float32)))
    if different - left > MOST_LOST * different:
        yield (
            f"{name}: of {different:,} different values only {left:,} are left in float32, in which networks compute; "
            f"{advice}"
        )
