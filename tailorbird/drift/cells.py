"""Cells: counts of predictions by predicted class and confidence bin, and the baseline accuracy of each."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tailorbird import bins
from tailorbird.package.baseline import Bin

Floats = NDArray[np.float64]
BINS = len(bins.LABELS)
SHRINKAGE = 8.0
"""Pseudo-counts by which a cell is shrunk towards its bin, and a bin towards its confidence."""


def table(counted: Mapping[str, Mapping[str, Bin]], classes: Sequence[str], key: str) -> Floats:
    """The counts [classes, bins] of `key`, count or correct, in a baseline's bins; 0 for missing cells."""
    counts = np.zeros((len(classes), BINS))
    for row, name in enumerate(classes):
        for label, cell in counted.get(name, {}).items():
            counts[row, bins.LABELS.index(label)] = getattr(cell, key)
    return counts


class Labelled(Protocol):
    """The number of labels for predictions of one class and bin, and of those that agree."""

    @property
    def predicted(self) -> str: ...
    @property
    def confidence_bin(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def correct(self) -> int: ...


def labelled(labels: Iterable[Labelled], classes: Sequence[str]) -> tuple[Floats, Floats]:
    """The labels and those that agree [classes, bins]; unknown classes are left out."""
    count, correct = np.zeros((len(classes), BINS)), np.zeros((len(classes), BINS))
    rows = {name: row for row, name in enumerate(classes)}
    for cell in labels:
        if cell.predicted in rows:
            index = rows[cell.predicted], bins.LABELS.index(cell.confidence_bin)
            count[index], correct[index] = cell.count, cell.correct
    return count, correct


def accuracies(count: Floats, correct: Floats) -> Floats:
    """The accuracy of every cell [classes, bins], each shrunk towards its bin, and each bin towards its confidence.

    Empty cells fill under drift: without an accuracy of their own, they would count like the average of the rest.
    """
    return np.asarray((correct + SHRINKAGE * of_bins(count, correct)) / (count + SHRINKAGE))


def of_bins(count: Floats, correct: Floats) -> Floats:
    """The accuracy of every bin [bins] over all classes, shrunk towards its confidence."""
    return np.asarray((correct.sum(0) + SHRINKAGE * np.asarray(MIDDLES)) / (count.sum(0) + SHRINKAGE))


def tally(predicted: NDArray[np.integer[Any]], confidences: Floats, classes: int) -> Floats:
    """The counts [classes, bins] of predictions [N]."""
    places = predicted * BINS + bins.indices(confidences)
    return np.bincount(places, minlength=classes * BINS).reshape(classes, BINS).astype(np.float64)


def binned(
    predicted: NDArray[np.integer[Any]], confidences: Floats, correct: NDArray[np.bool_], classes: Sequence[str]
) -> dict[str, dict[str, Bin]]:
    """Answers [N] in the form of a baseline: counts of answers and right ones by class and bin."""
    count = tally(predicted, confidences, len(classes)).astype(int)
    right = tally(predicted[correct], confidences[correct], len(classes)).astype(int)
    counted: dict[str, dict[str, Bin]] = {}
    for row, column in np.argwhere(count).tolist():
        cell = Bin(count=int(count[row, column]), correct=int(right[row, column]))
        counted.setdefault(classes[row], {})[bins.LABELS[column]] = cell
    return counted


def _middles() -> tuple[float, ...]:
    edges = (0.2, *bins.EDGES, 1.0)
    return tuple((low + high) / 2 for low, high in pairwise(edges))


MIDDLES = _middles()
"""The confidence in the middle of each bin."""
