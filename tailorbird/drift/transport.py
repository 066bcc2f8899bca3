"""Accuracy from the optimal transport of predictions to the class mix of the held-out examples.

Confidence optimal transport (Lu et al. 2023, arXiv 2305.15640): every answer is assigned a class so that the shares of
classes are those of the baseline, and the probability of the assigned class is as large as it can be on the mean. That
mean is the estimate. It is right while the mix of classes holds, and wrong by as much as the mix moves.
"""

import numpy as np
from numpy.typing import NDArray

ANSWERS = 1_000
"""So many are estimated together: of fewer, chance makes the shares of classes too unlike those of the baseline."""
STEPS = 300
SHARPEST = 200.0
"""The final sharpness of the soft maximum, which has a gradient everywhere."""


def accuracy(probabilities: NDArray[np.floating], mix: NDArray[np.float64]) -> float:
    """The estimate for probabilities [N, classes] and the classes' shares [classes].

    Solved in the classes' prices: the least, over prices, of the mean over answers of the largest probability plus
    price, less the mean price (the dual of the transport). Any prices bound the estimate from above.
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
    """By how much the estimate is too low on the mean, since answers of this mix [classes] are a draw of classes.

    Half the mean sum of the differences between the draw's shares and the mix: so many are moved to another class.
    """
    return float(0.5 * np.sqrt(2 / np.pi * mix * (1 - mix) / ANSWERS).sum())
