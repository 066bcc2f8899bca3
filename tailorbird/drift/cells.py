"""Cells: predictions by predicted class and confidence bin, as counters keep them, and what is known of each."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import bins

Floats = NDArray[np.float64]
BINS = len(bins.LABELS)
SHRINKAGE = 8.0
"""So many predictions of its whole bin are counted into each cell, and of all bins into each bin."""


def table(counts: Mapping[str, Mapping[str, Mapping[str, int]]], classes: Sequence[str], key: str) -> Floats:
    """The counts [classes, bins] of `key` in a baseline's bins, 0 where a cell is not named."""
    named = [[counts.get(name, {}).get(label, {}).get(key, 0) for label in bins.LABELS] for name in classes]
    return np.asarray(named, np.float64)


def accuracies(count: Floats, correct: Floats) -> Floats:
    """The accuracy of every cell [classes, bins], each shrunk towards its bin, and each bin towards its confidence.

    Empty cells fill under drift: without a figure for them, what they hold would count as whatever the rest is.
    """
    prior = np.asarray(MIDDLES)
    of_bin = (correct.sum(0) + SHRINKAGE * prior) / (count.sum(0) + SHRINKAGE)
    return np.asarray((correct + SHRINKAGE * of_bin) / (count + SHRINKAGE))


def tally(predicted: NDArray[np.integer[Any]], confidences: Floats, classes: int) -> Floats:
    """The counts [classes, bins] of predictions [N]."""
    places = predicted * BINS + bins.indices(confidences)
    return np.bincount(places, minlength=classes * BINS).reshape(classes, BINS).astype(np.float64)


def _middles() -> tuple[float, ...]:
    edges = (0.2, *bins.EDGES, 1.0)
    return tuple((low + high) / 2 for low, high in pairwise(edges))


MIDDLES = _middles()
"""The confidence in the middle of each bin."""
