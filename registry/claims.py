"""Claims: what a package says that its model scored, held against the answers in its own `heldout.npy`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import bins
from tailorbird.package.baseline import Baseline
from tailorbird.package.heldout import Heldout
from tailorbird.package.measurements import Measurements

TOLERANCE = 1e-6
"""Of a share: by more than it, a figure is not that of these answers."""
ANSWERS = "the answers in heldout.npy give"


def denied(
    heldout: Heldout,
    classes: Sequence[str],
    confusion: Sequence[Sequence[int]],
    claims: Mapping[str, Baseline | Measurements],
) -> Iterator[str]:
    """What is not so, a sentence for each figure; `said` has the figures by where they stand."""
    answers = np.asarray(heldout.probabilities.argmax(1), np.int64)
    right = heldout.finite & (answers == heldout.labels)
    accuracy, error = float(right.mean()), bins.calibration_error(heldout.probabilities.max(1), right)
    for where, figures in claims.items():
        if figures.samples != len(heldout) or _differs(figures.accuracy, accuracy):
            claim = f"accuracy {_percent(figures.accuracy)} of {figures.samples} images"
            yield f"{where} says {claim}, {ANSWERS} {_percent(accuracy)} of {len(heldout)}"
    for where, figures in claims.items():
        claimed = figures.calibration_error
        if claimed is not None and _differs(claimed, error):
            yield f"{where} says calibration error {claimed:.6g}, {ANSWERS} {error:.6g}"
    yield from _confusion(confusion, heldout.labels, answers, classes)


def _confusion(
    claimed: Sequence[Sequence[int]], labels: NDArray[Any], answers: NDArray[np.int64], classes: Sequence[str]
) -> Iterator[str]:
    counts = np.bincount(len(classes) * labels + answers, minlength=len(classes) ** 2).reshape(-1, len(classes))
    for true, row in enumerate(claimed):
        for answer, count in enumerate(row):
            if count != counts[true, answer]:
                example = f"{classes[true]!r} answered with {classes[answer]!r}"
                yield f"baseline.json says {count} images of {example}, {ANSWERS} {counts[true, answer]}"
                return


def _differs(claimed: float, measured: float) -> bool:
    return not abs(claimed - measured) <= TOLERANCE  # asked as «not within», so that NaN differs


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"
