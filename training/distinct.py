"""Numbers that differ in the data and are one to a network, which computes in float32."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets import Dataset

ROWS = 100_000
"""Of a large table the first so many rows are looked at."""
MOST_LOST = 0.01
"""Of the different values; of many close ones a few become one by mere rounding, which harms nobody."""


def notes(dataset: Dataset) -> Iterator[str]:
    """A sentence for each column, and for the numbers to predict, whose values run into each other.

    They do where one value is so far from the others that these have almost none of the scale.
    """
    if len(dataset.shape) == 1:
        names = dataset.columns or [f"column {number}" for number in range(1, dataset.shape[0] + 1)]
        rows = dataset.inputs[:ROWS]
        for index, name in enumerate(names):
            yield from _note(name, rows[:, index])
    if dataset.kind == "regression":
        yield from _note("the numbers to predict", dataset.targets[:ROWS])


def _note(name: str, values: NDArray[Any]) -> Iterator[str]:
    different = np.unique(values.astype(np.float64))
    spread = float(values.std(dtype=np.float64)) or 1.0
    scaled = ((different - values.mean(dtype=np.float64)) / spread).astype(np.float32)
    lost = len(different) - len(np.unique(scaled))
    if lost > MOST_LOST * len(different):
        yield (
            f"{name}: of {len(different):,} different values a network, which computes in float32, tells "
            f"{len(different) - lost:,} apart; leave out the values that are far from all others"
        )
