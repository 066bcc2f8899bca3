"""Conversion of probabilities to predicted classes and confidences."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.examples import FEW
from serving.problems import Problem
from tailorbird import bins

BINS = len(bins.LABELS)


class Labels(NamedTuple):
    """The most likely class of each example, by index, and the confidence bin of its probability.

    `cells` counts the examples by class and bin.
    """

    classes: list[int]
    bins: list[int]
    cells: Mapping[tuple[int, int], int]


def label(probabilities: NDArray[np.float32]) -> Labels:
    """From probabilities [N, classes]; raises Problem 422 if any of them is NaN or infinite."""
    return _label_few(probabilities) if len(probabilities) <= FEW else _label_many(probabilities)


def _label_few(probabilities: NDArray[np.float32]) -> Labels:
    # as Python floats: edges compared with float32 would be rounded, and bins would differ from those of training
    classes: list[int] = []
    confidence_bins: list[int] = []
    cells: dict[tuple[int, int], int] = {}
    for index, row in enumerate(probabilities.tolist()):
        confidence = max(row)
        if confidence != confidence:
            raise _not_a_number(index)
        cell = row.index(confidence), bins.index(confidence)
        classes.append(cell[0])
        confidence_bins.append(cell[1])
        cells[cell] = cells.get(cell, 0) + 1
    return Labels(classes, confidence_bins, cells)


def _label_many(probabilities: NDArray[np.float32]) -> Labels:
    classes = probabilities.argmax(axis=1)
    confidences = probabilities[np.arange(len(classes)), classes].astype(np.float64)
    if (unknown := np.isnan(confidences)).any():
        raise _not_a_number(int(unknown.argmax()))
    confidence_bins = bins.indices(confidences)
    counts = np.bincount(BINS * classes + confidence_bins)
    cells = counts.nonzero()[0]
    pairs = zip(map(divmod, cells.tolist(), [BINS] * len(cells)), counts[cells].tolist(), strict=True)
    return Labels(classes.tolist(), confidence_bins.tolist(), dict(pairs))


def _not_a_number(index: int) -> Problem:
    return Problem(422, f"inputs[{index}] is beyond the range of the model: its answer is NaN or infinite")
