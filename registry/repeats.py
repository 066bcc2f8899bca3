"""Figures of an epoch that was trained again, held against those that were reported first."""

import math
from collections.abc import Mapping

UNCOMPARED = ("seconds",)
"""What differs from one training to the next."""

TOLERANCE = 0.02
"""By so much, of itself or of 1, a figure may differ that a GPU computed again which adds in any order."""


def differing(before: Mapping[str, float], now: Mapping[str, float], exact: bool) -> str | None:
    """The first figure that is not the same: to the last bit where figures are `exact`, else within the tolerance."""
    tolerance = 0.0 if exact else TOLERANCE
    for name in sorted((before.keys() | now.keys()) - set(UNCOMPARED)):
        first, second = before.get(name, math.nan), now.get(name, math.nan)
        same = math.isclose(first, second, rel_tol=tolerance, abs_tol=tolerance)
        if not same and (math.isfinite(first) or math.isfinite(second)):
            return name
    return None
