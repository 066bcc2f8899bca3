"""Retention of checkpoints by the rank of trials, so that the store does not grow with their number."""

from collections.abc import Iterable, Mapping

from tuning.outcome import FINALISTS

Merit = tuple[float, float]
"""The score of a trial, from `Objective.merit`."""


def outranked(merits: Mapping[int, Merit], finished: Iterable[int], behind: Iterable[int]) -> set[int]:
    """The trials that can come to be nobody's choice any more, whatever the others do.

    Of those that are finished, and of those that were left behind, the best few are kept; who may still go on counts
    for nothing yet, since it may fail.
    """
    return {number for trials in (finished, behind) for number in _ordered(merits, trials)[FINALISTS:]}


def _ordered(merits: Mapping[int, Merit], trials: Iterable[int]) -> list[int]:
    """Best first; of equals the earlier."""
    return sorted(
        (number for number in trials if number in merits),
        key=lambda number: (*(-part for part in merits[number]), number),
    )
