"""Confidence bins, by which predictions are counted and calibration is measured."""

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EDGES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
LABELS = ("0", *(str(edge) for edge in EDGES))
"""A bin is [low, high), labelled by its lower edge."""
CALIBRATION_BINS = 15


def index(confidence: float) -> int:
    """The bin, 0 to len(EDGES), that a confidence falls into."""
    return bisect_right(EDGES, confidence)


def indices(confidences: "NDArray[np.floating]") -> "NDArray[np.int64]":
    """The bins of an array of confidences [N]."""
    import numpy as np

    return np.searchsorted(np.asarray(EDGES), confidences, side="right")


def calibration_error(confidences: "NDArray[np.floating]", correct: "NDArray[np.bool_]") -> float:
    """Expected calibration error of answers [N] over equal-width bins of confidence (Naeini et al. 2015).

    It is NaN where a confidence is not finite.
    """
    import numpy as np

    if not np.isfinite(confidences).all():
        return float("nan")
    places = np.minimum((confidences.clip(0, 1) * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(places, confidences - correct, CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(correct))
