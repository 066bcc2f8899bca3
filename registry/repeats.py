"""Figures of an epoch that was trained again, held against those that were reported first."""

import math
from collections.abc import Mapping

from tailorbird.errors import Irreproducible

UNCOMPARED = ("seconds",)
"""What differs from one training to the next."""

TOLERANCE = 0.02
"""The tolerated difference, absolute or relative, of a figure recomputed on a GPU, which adds in any order.

This is a choice: how far such repeats lie apart was not measured.
"""
FLIPPED = 3
"""The tolerated number of changed predictions, if that is more of an accuracy; also a choice."""


def check(
    epoch: str, before: Mapping[str, float], now: Mapping[str, float], exact: bool, counts: Mapping[str, int]
) -> None:
    """Raises Irreproducible where an epoch has other figures: to the last bit where they are `exact`, or as a GPU's.

    `counts` has the numbers of examples that accuracies are of.
    """
    for name in sorted((before.keys() | now.keys()) - set(UNCOMPARED)):
        first, second = before.get(name, math.nan), now.get(name, math.nan)
        relative = 0.0 if exact else TOLERANCE
        absolute = 0.0 if exact else max(TOLERANCE, (FLIPPED + 0.5) / counts[name] if counts.get(name) else 0.0)
        same = math.isclose(first, second, rel_tol=relative, abs_tol=absolute)
        if not same and (math.isfinite(first) or math.isfinite(second)):
            raise Irreproducible(
                f"{epoch} has {name} {second}, but {first} was reported before: it cannot be resumed exactly"
            )
