"""Claims: what a package says that its model scored, held against the answers in its own `heldout.npy`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.heldout import Heldout

TOLERANCE = 1e-6
"""Of a share: by more than it, a figure is not that of these answers."""
CALIBRATION_BINS = 15
ANSWERS = "the answers in heldout.npy give"


def denied(
    heldout: Heldout,
    classes: Sequence[str],
    confusion: Sequence[Sequence[int]] | None,
    said: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    """What is not so, a sentence for each figure.

    `said` has the figures by where they stand: `accuracy` and `samples`, and `calibration_error` where it was measured.
    """
    answers = np.asarray(heldout.probabilities.argmax(1), np.int64)
    right = heldout.finite & (answers == heldout.labels)
    accuracy, error = float(right.mean()), _calibration_error(heldout, right)
    for where, figures in said.items():
        yield from _accuracy(where, figures, accuracy, len(heldout))
    for where, figures in said.items():
        yield from _calibration(where, figures.get("calibration_error"), error)
    if confusion is not None:
        yield from _confusion(confusion, heldout.labels, answers, classes)


def _accuracy(where: str, figures: Mapping[str, Any], accuracy: float, images: int) -> Iterator[str]:
    claimed, samples = figures.get("accuracy"), figures.get("samples")
    if samples != images or _differs(claimed, accuracy):
        claim = f"accuracy {_percent(claimed)} of {_short(samples)} images"
        yield f"{where} says {claim}, {ANSWERS} {_percent(accuracy)} of {images}"


def _calibration(where: str, claimed: Any, error: float) -> Iterator[str]:
    if claimed is not None and _differs(claimed, error):
        yield f"{where} says calibration error {_figure(claimed)}, {ANSWERS} {_figure(error)}"


def _confusion(
    claimed: Sequence[Sequence[int]], labels: NDArray[Any], answers: NDArray[np.int64], classes: Sequence[str]
) -> Iterator[str]:
    counts = np.bincount(len(classes) * labels + answers, minlength=len(classes) ** 2).reshape(-1, len(classes))
    for true, row in enumerate(claimed):
        for answer, count in enumerate(row):
            if count != counts[true, answer]:
                told = f"{classes[true]!r} answered with {classes[answer]!r}"
                yield f"baseline.json says {count} images of {told}, {ANSWERS} {counts[true, answer]}"
                return


def _calibration_error(heldout: Heldout, right: NDArray[np.bool_]) -> float:
    """Expected calibration error over equal-width bins of confidence (Naeini et al. 2015), NaN for what answers NaN."""
    if not heldout.finite.all():
        return np.nan
    confidences = heldout.probabilities.max(1)
    places = np.minimum((confidences.clip(0, 1) * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(places, confidences - right, CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(heldout))


def _differs(claimed: Any, found: float) -> bool:
    # asked as «not within», so that NaN differs
    return not (_is_share(claimed) and abs(claimed - found) <= TOLERANCE)


def _percent(claimed: Any) -> str:
    return f"{100 * claimed:.6g}%" if _is_share(claimed) else _short(claimed)


def _figure(claimed: Any) -> str:
    return f"{claimed:.6g}" if _is_share(claimed) else _short(claimed)


def _is_share(claimed: Any) -> bool:
    return isinstance(claimed, int | float) and 0 <= claimed <= 1


def _short(claimed: Any) -> str:
    return repr(claimed)[:40]
