"""Confidence bins: a bin is [low, high), labelled by its lower edge."""

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

EDGES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
LABELS = ("0", *(str(edge) for edge in EDGES))


def index(confidence: float) -> int:
    """The bin, 0 to len(EDGES), that a confidence falls into."""
    return bisect_right(EDGES, confidence)


def indices(confidences: NDArray[np.floating]) -> NDArray[np.int64]:
    """The bins of many confidences [N]."""
    return np.searchsorted(np.asarray(EDGES), confidences, side="right")
