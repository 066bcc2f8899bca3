"""Claims: the figures of a package, checked against the predictions in its `heldout.npy`."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import bins, shares
from tailorbird.drift import cells
from tailorbird.package.baseline import Baseline
from tailorbird.package.heldout import Heldout
from tailorbird.package.measurements import Measurements

TOLERANCE = 1e-6
"""The largest rounding difference between a figure and that of the predictions."""
ANSWERS = "the answers in heldout.npy give"


def denied(heldout: Heldout, classes: Sequence[str], baseline: Baseline, evidence: Measurements) -> Iterator[str]:
    """The wrong claims of `baseline.json` and of the figures in the version's row, a sentence for each."""
    answers = np.asarray(heldout.probabilities.argmax(1), np.int64)
    confidences = heldout.probabilities.max(1)
    right = heldout.finite & (answers == heldout.labels)
    accuracy = float(right.mean())
    measured = {
        "standard error": shares.standard_error(accuracy, len(heldout)),
        "calibration error": bins.calibration_error(confidences, right),
    }
    claims = {baseline.file: baseline, "the registry": evidence}
    for where, figures in claims.items():
        if figures.samples != len(heldout) or _differs(figures.accuracy, accuracy):
            claim = f"accuracy {_percent(figures.accuracy)} of {figures.samples} images"
            yield f"{where} says {claim}, {ANSWERS} {_percent(accuracy)} of {len(heldout)}"
    for where, figures in claims.items():
        for name, error in measured.items():
            claimed = getattr(figures, name.replace(" ", "_"))
            if claimed is not None and _differs(claimed, error):
                yield f"{where} says {name} {claimed:.6g}, {ANSWERS} {error:.6g}"
    yield from _confusion(baseline, heldout.labels, answers, classes)
    yield from _bins(baseline, answers, confidences, right, classes)


def _confusion(
    baseline: Baseline, labels: NDArray[Any], answers: NDArray[np.int64], classes: Sequence[str]
) -> Iterator[str]:
    counts = np.bincount(len(classes) * labels + answers, minlength=len(classes) ** 2).reshape(-1, len(classes))
    for true, row in enumerate(baseline.confusion):
        for answer, count in enumerate(row):
            if count != counts[true, answer]:
                example = f"{classes[true]!r} answered with {classes[answer]!r}"
                yield f"{baseline.file} says {count} images of {example}, {ANSWERS} {counts[true, answer]}"
                return


def _bins(
    baseline: Baseline,
    answers: NDArray[np.int64],
    confidences: NDArray[Any],
    right: NDArray[np.bool_],
    classes: Sequence[str],
) -> Iterator[str]:
    for key, chosen in (("count", slice(None)), ("correct", right)):
        claimed = cells.table(baseline.bins, classes, key)
        counts = cells.tally(answers[chosen], confidences[chosen], len(classes))
        for answer, label in np.argwhere(claimed != counts)[:1]:
            cell = f"{key} {claimed[answer, label]:.0f} of {classes[answer]!r} in bin {bins.LABELS[label]}"
            yield f"{baseline.file} says {cell}, {ANSWERS} {counts[answer, label]:.0f}"


def _differs(claimed: float, measured: float) -> bool:
    return not abs(claimed - measured) <= TOLERANCE  # «not within», so that NaN counts as different


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"
