"""Retention of checkpoints by the rank of trials, so that the store does not grow with their number."""

from collections.abc import Iterable, Mapping

from tuning.outcome import FINALISTS

Merit = tuple[float, float]
"""The score of a trial, from `Objective.merit`."""


def outranked(merits: Mapping[int, Merit], finished: Iterable[int], behind: Iterable[int]) -> set[int]:
    """The trials that can no longer be chosen, whatever the others do.

    Of the finished trials, and of those left behind, the best few are kept; trials that may still continue do not count
    yet, since they may fail.
    """
    return {number for trials in (finished, behind) for number in _ordered(merits, trials)[FINALISTS:]}


def _ordered(merits: Mapping[int, Merit], trials: Iterable[int]) -> list[int]:
    """Best first; ties are broken by number."""
    return sorted(
        (number for number in trials if number in merits),
        key=lambda number: (*(-part for part in merits[number]), number),
    )
