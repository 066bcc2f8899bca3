"""Comparing the figures of an epoch that was trained again with those that were reported first."""

import math
from collections.abc import Mapping

from tailorbird.errors import Irreproducible

UNCOMPARED = ("seconds",)
"""Figures that differ between repeats."""

FINAL = ("test_", "fit_")
"""Prefixes of figures measured only after a trial's last epoch.

If `sweeps extend --epochs` moves that end, the former last epoch may be trained again, without them.
"""

TOLERANCE = 0.02
"""The tolerated difference, absolute or relative, of a figure recomputed on a GPU, which adds in any order.

This is a choice: how much repeats differ was not measured.
"""
FLIPPED = 3
"""The tolerated number of changed predictions, if that is the larger difference; also a choice."""


def check(
    epoch: str, before: Mapping[str, float], now: Mapping[str, float], exact: bool, counts: Mapping[str, int]
) -> None:
    """Raises Irreproducible if an epoch has other figures.

    They are compared to the last bit if they are `exact`, else with the tolerance for GPUs. `counts` has the numbers of
    examples of accuracies.
    """
    final = {name for name in before.keys() ^ now.keys() if name.startswith(FINAL)}
    for name in sorted((before.keys() | now.keys()) - final - set(UNCOMPARED)):
        first, second = before.get(name, math.nan), now.get(name, math.nan)
        relative = 0.0 if exact else TOLERANCE
        absolute = 0.0 if exact else max(TOLERANCE, (FLIPPED + 0.5) / counts[name] if counts.get(name) else 0.0)
        same = math.isclose(first, second, rel_tol=relative, abs_tol=absolute)
        if not same and (math.isfinite(first) or math.isfinite(second)):
            raise Irreproducible(
                f"{epoch} has {name} {second}, but {first} was reported before: it cannot be resumed exactly"
            )
