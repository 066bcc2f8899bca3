"""Detects, label by label, whether a model fails more often than at registration.

A mixture of Shiryaev-Roberts statistics: an e-detector (Shin, Ramdas and Rinaldo 2022), whose mean run length to a
false alarm is at least its threshold, without tuning and for any error rate up to the tolerated one.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TOLERANCE = 0.01
"""The smallest tolerated increase of the error rate: the baseline itself was measured on a sample."""
THRESHOLD = 1e5
"""At most one false alarm in this many labels on average."""
SHIFTS: Floats = np.array([0.03, 0.05, 0.08, 0.15, 0.3])
"""The increases of the error rate that the statistics are designed for."""
WEIGHTS: Floats = np.array([0.2, 0.4, 0.2, 0.1, 0.1])
MOST = 600.0
"""The largest logarithm of the evidence, near the limit of a float."""


def start(*streams: int) -> Floats:
    """The statistics [*streams, shifts] before any label."""
    return np.zeros((*streams, len(SHIFTS)))


def step(
    statistics: Floats, wrong: NDArray[np.bool_] | bool, error: Floats | float, tolerance: float = TOLERANCE
) -> Floats:
    """The statistics [*streams, shifts] after one more label per stream, which says whether the prediction was wrong.

    `error` is the error rate of such predictions at registration.
    """
    return np.asarray((statistics + 1) * _likelier(wrong, error, tolerance))


def after(wrong: NDArray[np.bool_], errors: Floats, tolerance: float = TOLERANCE) -> Floats:
    """The statistics [shifts] after labels [N] of one stream, as by repeated `step`, vectorised."""
    likelier = np.log(_likelier(wrong, errors, tolerance))
    return np.asarray(np.exp(np.minimum(np.cumsum(likelier[::-1], axis=0), MOST)).sum(0))


def _likelier(wrong: NDArray[np.bool_] | bool, error: Floats | float, tolerance: float) -> Floats:
    """Likelihood ratios [..., shifts] of labels [...] for an error rate increased by each shift."""
    tolerated = np.minimum(np.asarray(error) + tolerance, 0.99)[..., None]
    feared = tolerated + SHIFTS * (1 - tolerated)
    return np.asarray(np.where(np.asarray(wrong)[..., None], feared / tolerated, (1 - feared) / (1 - tolerated)))


def evidence(statistics: Floats) -> Floats:
    """The e-detector's value [*streams]; from THRESHOLD on it is an alarm."""
    return np.asarray(statistics @ WEIGHTS)
