"""The mix of classes that explains counters, were each class still answered as it was on held-out examples."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEPS = 500
PRECISION = 1e-7


def fit(counts: Floats, likelihood: Floats) -> Floats:
    """The shares [classes] of true classes that make counts [cells] likeliest, by expectation maximisation.

    `likelihood` [classes, cells] is how often an example of each class falls into each cell (Saerens, Latinne and
    Decaestecker 2002, over cells instead of single probabilities).
    """
    classes = len(likelihood)
    mix: Floats = np.full(classes, 1 / classes)
    shares = counts / counts.sum()
    for _ in range(STEPS):
        expected = mix @ likelihood
        ratio = np.divide(shares, expected, out=np.zeros_like(shares), where=expected > 0)
        step = mix * (likelihood @ ratio)
        step = np.asarray(step / step.sum())
        if np.abs(step - mix).max() < PRECISION:
            return step
        mix = step
    return mix


def accuracy(counts: Floats, likelihood: Floats) -> float:
    """The accuracy [0 to 1] of counts [classes, bins] by predicted class under the mix that explains them.

    The predictions of a cell are right as often as its examples are of the predicted class.
    """
    classes = len(likelihood)
    joint = fit(counts.ravel(), likelihood)[:, None] * likelihood
    right = joint.reshape(classes, classes, -1)[np.arange(classes), np.arange(classes)].ravel()
    total = joint.sum(0)
    correct = np.divide(right, total, out=np.zeros_like(total), where=total > 0)
    return float(correct @ counts.ravel() / counts.sum())
