"""Calibration: the temperature that brings a model's confidence closer to its accuracy."""

import math

import numpy as np
from numpy.typing import NDArray

from training.config import Kind
from training.datasets import Targets

LOWEST, HIGHEST = 0.05, 20
"""The range of temperatures that are searched."""


def temperature(logits: NDArray[np.floating], targets: Targets, kind: Kind) -> float:
    """The T that minimises the cross entropy of logits / T [N, outputs] (Guo et al. 2017).

    It is 1 without examples, and for regression, which has no probabilities. One extra example, spread evenly over all
    classes, is added to the targets: otherwise a split without errors would yield the lowest T that is searched, as if
    the model were certain.
    """
    if not len(targets) or kind == "regression":
        return 1.0
    from scipy.optimize import minimize_scalar  # slow to import, and trials of a sweep need no temperature

    unsure = 1 / (len(targets) + 1)
    precise = logits.astype(np.float64)

    def cross_entropy(log_t: float) -> float:
        known, any_class = _losses(precise / math.exp(log_t), targets, kind)
        return (1 - unsure) * known + unsure * any_class

    minimum = minimize_scalar(cross_entropy, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded")
    return math.exp(minimum.x)


def _losses(logits: NDArray[np.float64], targets: Targets, kind: Kind) -> tuple[float, float]:
    """Mean cross entropy with the targets, and with every class in equal parts."""
    if kind == "multiclass":
        from scipy.special import log_softmax

        losses = -log_softmax(logits, axis=1)
        return float(losses[np.arange(len(targets)), targets].mean()), float(losses.mean())
    indicators, negative = targets.reshape(logits.shape), np.logaddexp(0, logits)
    return float((negative - indicators * logits).mean()), float((negative - logits / 2).mean())
