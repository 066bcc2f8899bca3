"""Accuracy from labels, with an interval that stays valid for repeated checks from one start.

Labels arrive unevenly: people check predictions of low confidence. So accuracy is combined from strata, bins of
confidence, each weighted by its share of all predictions.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ALPHA = 0.05
"""The probability that the interval from one start is ever wrong, over any number of checks."""
STRENGTH = 30.0
"""The weight of a stratum's prior, in labels; a wrong prior widens the interval but keeps it valid."""
STEPS = 60
MOST_LABELS = 10**7
TINY = 1e-12


@dataclass(frozen=True)
class Accuracy:
    """An accuracy with the bounds of its interval, and the number of labels."""

    value: float
    low: float
    high: float
    labels: int

    @property
    def width(self) -> float:
        return self.high - self.low


def accuracy(count: Floats, correct: Floats, weights: Floats, prior: Floats) -> Accuracy | None:
    """The accuracy by labels in strata [strata]; None without labels.

    `weights` are the strata's shares of all predictions, and sum to 1; `prior` is the accuracy expected of each, from 0
    to 1. A stratum without labels has its expected accuracy in the value, and any from 0 to 1 in the interval. The
    interval is a confidence sequence: a beta-binomial mixture (Robbins 1970) for each stratum, whose product is a
    martingale at the true accuracies, so that the set where it stays below 1/alpha contains them at all times with
    probability 1 - alpha. Its bounds are the smallest and the largest weighted sum over that convex set.
    """
    labels = int(count.sum())
    if not labels:
        return None
    wrong = count - correct
    value = float(weights @ np.where(count > 0, correct / np.maximum(count, 1), prior))
    budget = -math.log(ALPHA) - _mixture(correct, wrong, prior)
    low, high = (_end(correct, wrong, weights, budget, sign) for sign in (-1, 1))
    return Accuracy(value, min(low, value), max(high, value), labels)


def needed(count: Floats, correct: Floats, weights: Floats, prior: Floats, width: float) -> int:
    """The estimated number of further labels for so narrow an interval.

    They are distributed like these or, where those could never suffice, like predictions: nothing is known of strata
    without labels, however many labels the others have.
    """
    labels = count.sum()
    accuracies = (correct + STRENGTH * prior) / (count + STRENGTH)
    spreads = [count / labels, weights] if labels else [weights]
    numbers = (_more(count, accuracies, spread, weights, prior, width) for spread in spreads)
    return next((more for more in numbers if more < MOST_LABELS), MOST_LABELS)


def _more(count: Floats, accuracies: Floats, spread: Floats, weights: Floats, prior: Floats, width: float) -> int:
    low, high = 0, 1
    while high < MOST_LABELS and _width(count, accuracies, spread, high, weights, prior) > width:
        low, high = high, 2 * high
    while high - low > max(1, high // 50):
        middle = (low + high) // 2
        if _width(count, accuracies, spread, middle, weights, prior) > width:
            low = middle
        else:
            high = middle
    return high


def _width(count: Floats, accuracies: Floats, spread: Floats, more: int, weights: Floats, prior: Floats) -> float:
    total = count + spread * more
    expected = accuracy(total, total * accuracies, weights, prior)
    return expected.width if expected else 1.0


def _mixture(correct: Floats, wrong: Floats, prior: Floats) -> float:
    """The log likelihood of labels, integrated over the prior's accuracies."""
    prior = np.clip(prior, 0.01, 0.99)
    a, b = STRENGTH * prior, STRENGTH * (1 - prior)
    return sum(
        _log_beta(p + s, q + f) - _log_beta(p, q)
        for p, q, s, f in zip(a.tolist(), b.tolist(), correct.tolist(), wrong.tolist(), strict=True)
    )


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _end(correct: Floats, wrong: Floats, weights: Floats, budget: float, sign: int) -> float:
    """The smallest (sign -1) or largest weighted accuracy whose log likelihood stays within the budget."""
    low, high = -20.0, 40.0  # of the logarithm of the Lagrange multiplier's inverse
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _surprise(correct, wrong, _tilted(correct, wrong, weights, middle, sign)) > budget:
            high = middle
        else:
            low = middle
    return float(weights @ _tilted(correct, wrong, weights, high, sign))


def _tilted(correct: Floats, wrong: Floats, weights: Floats, pull: float, sign: int) -> Floats:
    """The most likely accuracies if exp(pull) times the weighted sum is added (sign 1) or subtracted (sign -1)."""
    pulls, count = math.exp(pull) * weights, correct + wrong
    against = wrong if sign > 0 else correct
    root = np.sqrt(np.maximum((count + pulls) ** 2 - 4 * pulls * against, 0))
    share = np.divide(2 * against, count + pulls + root, out=np.zeros_like(count), where=count + pulls > 0)
    return 1 - share if sign > 0 else share


def _surprise(correct: Floats, wrong: Floats, accuracies: Floats) -> float:
    held = np.clip(accuracies, TINY, 1 - TINY)
    return float(-(correct * np.log(held) + wrong * np.log1p(-held)).sum())
