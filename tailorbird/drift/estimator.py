"""Estimated accuracy from counters of predictions, fitted at registration, with its error.

The estimate is linear: each cell, a predicted class and confidence bin, has a weight, and the estimate is the mean
weight of the predictions. So it adds no cost to a request, and Prometheus can compute it as a product of two metrics.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import bins
from tailorbird.drift import cells, mix, transport
from tailorbird.package.estimator import Error, Fit

Floats = NDArray[np.float64]
FEW = 0.2
"""Pseudo-count of each cell, since cells without held-out examples may get predictions too."""


@dataclass(frozen=True, eq=False)
class Estimator:
    """The fitted estimator of a model; `weights` and `error` are None if inputs cannot be corrupted, such as tables.

    `answers` [true class, predicted class, bin] counts the held-out examples. `weights` are [predicted class, bin].
    """

    classes: tuple[str, ...]
    answers: NDArray[np.int64]
    weights: Floats | None
    error: Error | None

    def fitted(self, counts: Floats) -> float | None:
        """The accuracy for counts [classes, bins] by the weights fitted on corruptions; None without weights."""
        total = counts.sum()
        if self.weights is None or not total:
            return None
        return float(np.clip((counts * self.weights).sum() / total, 0, 1))

    def mix_moves(self, counts: Floats) -> float | None:
        """The accuracy for counts [classes, bins] if only the mix of classes changed."""
        if not counts.sum():
            return None
        return mix.accuracy(counts, self._likelihood)

    def fitted_noise(self, counts: Floats) -> float:
        """The standard error of the drop by `fitted` for counts [classes, bins], if only their class mix changed.

        It combines that of a clean window of the same size and that of the held-out examples, which may be few for
        classes that became frequent.
        """
        if self.weights is None:
            return math.inf
        weights, expected = self.weights.ravel(), self._seen.sum(0) / self._seen.sum()
        window = mix.variance(weights, expected) / counts.sum()
        shares = mix.fit(counts.ravel(), self._likelihood)
        return math.sqrt(window + shares**2 @ (mix.variance(weights, self._likelihood) / self._seen.sum(1)))

    def mix_noise(self, counts: Floats) -> float:
        """The standard error of the drop by `mix_moves` for counts [classes, bins], whose sum is above 0."""
        return mix.noise(counts, self._seen)

    def steady_noise(self) -> float:
        """The standard error of the drop by `mix_steady` for answers like those to the held-out examples."""
        variance = self.accuracy * (1 - self.accuracy)
        return math.sqrt(variance * (1 / transport.ANSWERS + 1 / self.counts.sum()))

    @cached_property
    def counts(self) -> Floats:
        """The number of held-out examples by cell [classes, bins]."""
        return np.asarray(self.answers.sum(0), np.float64)

    @cached_property
    def correct(self) -> Floats:
        """The number of right answers among them [classes, bins]."""
        every = np.arange(len(self.classes))
        return self.answers[every, every].astype(np.float64)

    @cached_property
    def accuracy(self) -> float:
        """The accuracy on the held-out examples."""
        return float(self.correct.sum() / self.counts.sum())

    @cached_property
    def mix(self) -> Floats:
        """The shares of the true classes [classes] among the held-out examples."""
        totals = self.answers.sum((1, 2))
        return np.asarray(totals / totals.sum())

    @cached_property
    def _seen(self) -> Floats:
        """The held-out examples by true class and cell [classes, cells], plus pseudo-counts.

        These have the accuracy of their bin: otherwise predictions in empty cells would count as wrong.
        """
        right = cells.of_bins(self.counts, self.correct)
        wrong = (1 - right) / max(len(self.classes) - 1, 1)
        own = np.eye(len(self.classes), dtype=bool)[:, :, None]
        return np.asarray((self.answers + FEW * np.where(own, right, wrong)).reshape(len(self.classes), -1))

    @cached_property
    def _likelihood(self) -> Floats:
        """The probability of each cell for an example of a class [classes, cells]."""
        return np.asarray(self._seen / self._seen.sum(1, keepdims=True))

    def encode(self) -> bytes:
        """The file."""
        weights = None if self.weights is None else _named(self.weights.round(6), self.classes)
        answers = {name: _named(table, self.classes) for name, table in zip(self.classes, self.answers, strict=True)}
        return Fit(answers=answers, weights=weights, error=self.error).encode()


def parse(data: bytes, classes: Sequence[str]) -> Estimator:
    """The estimator of a file; raises Corrupt if it is not for these classes."""
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
