"""Proportions with confidence intervals."""

import math
from statistics import NormalDist

Z95 = NormalDist().inv_cdf(0.975)


def interval(right: float, of: float) -> tuple[float, float]:
    """The 95% interval of a share, which also holds near 0 and 1 (Wilson 1927)."""
    share, z2 = right / of, Z95**2
    middle, half = (share + z2 / (2 * of)) / (1 + z2 / of), Z95 * standard_error(share, of)
    return max(0.0, middle - half), min(1.0, middle + half)


def standard_error(share: float, of: float) -> float:
    """The standard error in Wilson's interval: for large numbers that of the binomial, and never 0."""
    z2 = Z95**2
    return math.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)


def text(share: float, of: int) -> str:
    """A share with its interval, in words."""
    if not of:
        return f"{share:.2%}"
    low, high = interval(share * of, of)
    return f"{share:.2%} of {of:,} (95% interval {low:.2%} to {high:.2%})"
