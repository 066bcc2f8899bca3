"""Accuracy from the optimal transport of predictions to the class mix of the held-out examples.

Confidence optimal transport (Lu et al. 2023, arXiv 2305.15640): every answer is assigned a class so that the shares of
classes are those of the baseline, and the mean probability of the assigned classes is as large as possible. That mean
is the estimate. It is right while the class mix stays the same, and off by as much as the mix moves.
"""

import numpy as np
from numpy.typing import NDArray

ANSWERS = 1_000
"""The number of answers that are estimated together: with fewer, the shares of classes vary too much by chance."""
STEPS = 300
SHARPEST = 200.0
"""The final sharpness of the soft maximum, which is differentiable everywhere."""


def accuracy(probabilities: NDArray[np.floating], mix: NDArray[np.float64]) -> float:
    """The estimate for probabilities [N, classes] and the classes' shares [classes].

    Solved by the dual: minimise, over prices of the classes, the mean over answers of the largest probability plus
    price, minus the mean price. Any prices give an upper bound of the estimate.
    """
    known = mix > 0
    probabilities, mix = probabilities[:, known].astype(np.float64), mix[known] / mix[known].sum()
    prices, best = np.zeros(len(mix)), np.inf
    for step in range(STEPS):
        priced = probabilities + prices
        best = min(best, float(priced.max(1).mean() - mix @ prices))
        hardness = SHARPEST ** min(1.0, 0.4 + step / STEPS)
        powers = np.exp(hardness * (priced - priced.max(1, keepdims=True)))
        taken = (powers / powers.sum(1, keepdims=True)).mean(0)
        prices = prices - (np.log(np.maximum(taken, 1e-6)) - np.log(mix)) / hardness
    return max(0.0, min(1.0, best))


def chance(mix: NDArray[np.float64]) -> float:
    """The mean bias of the estimate, which is too low because answers are a random sample of this mix [classes].

    It is half the mean absolute difference, summed over classes, between the sample's shares and the mix: the share
    of answers that are assigned to another class.
    """
    return float(0.5 * np.sqrt(2 / np.pi * mix * (1 - mix) / ANSWERS).sum())
