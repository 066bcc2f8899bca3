"""Accuracy from counters of predictions, fitted at registration; and what it is wrong by.

The estimate is linear: each cell, a predicted class and confidence bin, has a weight, and the estimate is the mean
weight of the predictions. So it costs a request nothing, and Prometheus computes it as a product of two metrics.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import bins
from tailorbird.drift import cells, mix
from tailorbird.package.estimator import Error, Fit

Floats = NDArray[np.float64]
SURE = 5.0
"""Standard errors of a clean window that an alarm is above: so many since weights fit their own examples best."""
RARE = 0.25
"""So many examples are taken to be in each cell: those that held-out examples left empty vary too."""
LEAST_DROP = 0.01
"""No estimated drop below it is an alarm."""


@dataclass(frozen=True, eq=False)
class Estimator:
    """What is fitted of a model; `weights` and `error` are None where inputs cannot be corrupted, as of a table.

    `answers` [true class, predicted class, bin] counts the held-out examples. `weights` are [predicted class, bin].
    """

    classes: tuple[str, ...]
    answers: NDArray[np.int64]
    weights: Floats | None
    error: Error | None

    def fitted(self, counts: Floats) -> float | None:
        """The accuracy that was learnt from corruptions for counts [classes, bins]; None where nothing was fitted."""
        total = counts.sum()
        if self.weights is None or not total:
            return None
        return float(np.clip((counts * self.weights).sum() / total, 0, 1))

    def mix_moves(self, counts: Floats) -> float | None:
        """The accuracy for counts [classes, bins] if only the mix of classes changed."""
        if not counts.sum():
            return None
        return mix.accuracy(counts, self._likelihood)

    def least_alarm(self, predictions: float) -> float:
        """From which estimated drop on a window of so many predictions is an alarm."""
        if self.weights is None or not predictions:
            return math.inf
        shares = self.counts + RARE
        shares = shares / shares.sum()
        variance = float((shares * self.weights**2).sum() - (shares * self.weights).sum() ** 2)
        noise = math.sqrt(max(variance, 0) * (1 / predictions + 1 / self.answers.sum()))
        return max(LEAST_DROP, SURE * noise)

    @cached_property
    def counts(self) -> Floats:
        """The held-out examples by cell [classes, bins]."""
        return np.asarray(self.answers.sum(0), np.float64)

    @cached_property
    def correct(self) -> Floats:
        """Those of them that were answered right [classes, bins]."""
        every = np.arange(len(self.classes))
        return self.answers[every, every].astype(np.float64)

    @cached_property
    def accuracy(self) -> float:
        """On the held-out examples."""
        return float(self.correct.sum() / self.counts.sum())

    @cached_property
    def mix(self) -> Floats:
        """The shares of the true classes [classes] among the held-out examples."""
        totals = self.answers.sum((1, 2))
        return np.asarray(totals / totals.sum())

    @cached_property
    def _likelihood(self) -> Floats:
        """How often an example of a class falls into a cell [classes, cells], each a little likelier than seen."""
        seen = self.answers.reshape(len(self.classes), -1) + 0.2 / cells.BINS
        return np.asarray(seen / seen.sum(1, keepdims=True))

    def encode(self) -> bytes:
        """The file."""
        weights = None if self.weights is None else _named(self.weights.round(6), self.classes)
        answers = {name: _named(table, self.classes) for name, table in zip(self.classes, self.answers, strict=True)}
        return Fit(answers=answers, weights=weights, error=self.error).encode()


def parse(data: bytes, classes: Sequence[str]) -> Estimator:
    """The estimator of a file; raises Corrupt where it is not one of these classes."""
    fit = Fit.parse(data).check(classes)
    answers = np.stack([_table(fit.answers[name], classes) for name in classes]).astype(np.int64)
    weights = None if fit.weights is None else _table(fit.weights, classes)
    return Estimator(tuple(classes), answers, weights, fit.error)


def _table(named: Mapping[str, Mapping[str, float]], classes: Sequence[str]) -> Floats:
    return np.array([[named.get(name, {}).get(label, 0) for label in bins.LABELS] for name in classes], np.float64)


def _named(table: NDArray[Any], classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The cells that are not 0, by class and bin."""
    rows = {
        name: {label: number for label, number in zip(bins.LABELS, row, strict=True) if number}
        for name, row in zip(classes, table.tolist(), strict=True)
    }
    return {name: row for name, row in rows.items() if row}
