"""The class mix that best explains counters if each class is predicted as on the held-out examples."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEPS = 500
PRECISION = 1e-7
RIDGE = 1e-9


def fit(counts: Floats, likelihood: Floats) -> Floats:
    """The maximum-likelihood shares [classes] of true classes for counts [cells], by expectation maximisation.

    `likelihood` [classes, cells] is the probability of each cell for an example of each class (Saerens, Latinne and
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

    The accuracy of a cell is the share of its examples that are of the predicted class.
    """
    joint = fit(counts.ravel(), likelihood)[:, None] * likelihood
    right, total = (joint * _own(likelihood)).sum(0), joint.sum(0)
    correct = np.divide(right, total, out=np.zeros_like(total), where=total > 0)
    return float(correct @ counts.ravel() / counts.sum())


def noise(counts: Floats, heldout: Floats) -> float:
    """The standard error of the drop from the accuracy of held-out examples to `accuracy` of counts [classes, bins].

    `heldout` [classes, cells], all above 0, counts these examples by true class; their shares are the likelihood. Both
    they and the predictions are samples, whose variance is propagated by the derivative of the estimate (the delta
    method), also if the mix has moved to classes with few held-out examples.
    """
    totals = heldout.sum(1, keepdims=True)
    likelihood, own = heldout / totals, _own(heldout)
    shares = counts.ravel() / counts.sum()
    mix = fit(counts.ravel(), likelihood)[:, None]
    expected = (mix * likelihood).sum(0)
    ratio = likelihood / expected
    right = (own * mix * ratio).sum(0)
    free = np.flatnonzero(mix.ravel() * counts.sum() > 1)  # the share of a class without predictions stays 0
    information = (ratio[free] * shares) @ ratio[free].T + RIDGE * np.eye(len(free))
    pull = np.zeros_like(mix)
    pull[free, 0] = np.linalg.solve(information, ((own - right) * ratio)[free] @ shares)
    of_prediction = right + (pull * ratio).sum(0)
    of_example = own * totals / totals.sum() - shares / expected * (mix * (own - of_prediction) + pull)
    return float(
        np.sqrt(variance(of_prediction, shares) / counts.sum() + (variance(of_example, likelihood) / totals.T).sum())
    )


def _own(cells: Floats) -> Floats:
    """1 for the cells in which a class is the predicted one, else 0 [classes, cells]."""
    return np.repeat(np.eye(len(cells)), cells.shape[1] // len(cells), axis=1)


def variance(values: Floats, shares: Floats) -> Floats:
    """The variance [...] of values [..., cells] with these probabilities."""
    return np.asarray((shares * values**2).sum(-1) - (shares * values).sum(-1) ** 2)
