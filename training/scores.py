"""Scores of predictions for each kind of target: one class, any number of labels, or a number."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import bins, shares
from tailorbird.drift import cells
from tailorbird.package.baseline import Bin
from training.datasets import Targets

Floats = NDArray[np.floating[Any]]
THRESHOLD = 0.5
"""The probability at which a label, or the second of two classes, is predicted."""


@dataclass(frozen=True, eq=False)
class AtThreshold:
    """Figures of each class [classes], predicted where its probability is at least `threshold`.

    Precision is 0 for a class that is never predicted, recall for a class without examples, F1 if both are 0.
    """

    threshold: float
    precision: Floats
    recall: Floats
    f1: Floats


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall of one class at each threshold that makes a difference, in ascending order."""

    thresholds: Floats
    precision: Floats
    recall: Floats


@dataclass(frozen=True, eq=False)
class Evaluation(ABC):
    """The targets of a split's examples, with the answers to them."""

    targets: Targets

    def __len__(self) -> int:
        return len(self.targets)

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """The figures that a table shows, by name."""


@dataclass(frozen=True, eq=False)
class _Probable(Evaluation):
    """Probabilities [N, classes], and those before temperature scaling."""

    probabilities: Floats
    uncalibrated: Floats

    @property
    @abstractmethod
    def truth(self) -> NDArray[np.bool_]:
        """Whether each class, or label, is the true one [N, classes]."""

    @property
    @abstractmethod
    def accuracy(self) -> float:
        """Share of the answers that are right."""

    @property
    @abstractmethod
    def standard_error(self) -> float:
        """The standard error of the accuracy, for a split of this size."""

    @property
    @abstractmethod
    def calibration_error(self) -> float: ...

    @abstractmethod
    def _nll(self, probabilities: Floats) -> float: ...

    @property
    def nll(self) -> float:
        """Mean cross entropy in nats, over labels too; probabilities are clipped at the precision of their type."""
        return self._nll(self.probabilities)

    @property
    def nll_uncalibrated(self) -> float:
        """The same without the temperature."""
        return self._nll(self.uncalibrated)

    def at(self, threshold: float) -> AtThreshold:
        """Precision and recall of each class at a decision threshold."""
        named, truth = self.probabilities >= threshold, self.truth
        hits = (named & truth).sum(0).astype(np.float64)
        precision, recall = _share(hits, named.sum(0)), _share(hits, truth.sum(0))
        return AtThreshold(threshold, precision, recall, _share(2 * hits, named.sum(0) + truth.sum(0)))

    def curve(self, index: int) -> Curve:
        """How the decision threshold trades precision against recall of one class."""
        order = np.argsort(-self.probabilities[:, index], kind="stable")
        falling, hits = self.probabilities[order, index], self.truth[order, index].cumsum()
        last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)[
            ::-1
        ]  # examples of equal probability move together
        return Curve(falling[last], hits[last] / (last + 1), _share(hits[last].astype(np.float64), hits[-1]))

    def figures(self) -> dict[str, float]:
        return {
            "accuracy": self.accuracy,
            "standard_error": self.standard_error,
            "nll": self.nll,
            "nll_uncalibrated": self.nll_uncalibrated,
            "calibration_error": self.calibration_error,
        }


@dataclass(frozen=True, eq=False)
class Classification(_Probable):
    """Probabilities [N, classes] of one class of several, and the index of the true one [N]."""

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.probabilities.argmax(1), np.int64)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        return np.asarray(self.predicted == self.targets)

    @property
    def truth(self) -> NDArray[np.bool_]:
        return np.asarray(self.targets[:, None] == np.arange(self.probabilities.shape[1]))

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @property
    def standard_error(self) -> float:
        return shares.standard_error(self.accuracy, len(self))

    @property
    def calibration_error(self) -> float:
        return bins.calibration_error(self.probabilities.max(1), self.correct)

    def confusion(self) -> NDArray[np.int64]:
        """Counts [classes, classes]; rows are true classes, columns predicted ones."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.targets * classes + self.predicted, minlength=classes**2).reshape(classes, classes)

    def bins(self, classes: Sequence[str]) -> dict[str, dict[str, Bin]]:
        """For each predicted class and confidence bin that occurs, the number of examples and of right answers."""
        return cells.binned(self.predicted, self.probabilities.max(1), self.correct, classes)

    def _nll(self, probabilities: Floats) -> float:
        return _surprise(probabilities[np.arange(len(self)), self.targets], np.finfo(probabilities.dtype).tiny)


@dataclass(frozen=True, eq=False)
class Binary(Classification):
    """Two classes; precision, recall and F1 among its figures are those of the second."""

    def figures(self) -> dict[str, float]:
        rates = self.at(THRESHOLD)
        second = {"precision": rates.precision[1], "recall": rates.recall[1], "f1": rates.f1[1]}
        return {**super().figures(), **{name: float(value) for name, value in second.items()}}

    def _nll(self, probabilities: Floats) -> float:
        return _surprise(probabilities[np.arange(len(self)), self.targets], np.finfo(probabilities.dtype).eps)


@dataclass(frozen=True, eq=False)
class Multilabel(_Probable):
    """Independent probabilities [N, labels], and targets of 0 or 1 [N, labels].

    Accuracy, precision, recall and F1 among the figures are means over labels.
    """

    @property
    def truth(self) -> NDArray[np.bool_]:
        return np.asarray(self.targets == 1)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Which answers are right [N, labels]."""
        return np.asarray((self.probabilities >= THRESHOLD) == self.truth)

    @property
    def label_accuracies(self) -> Floats:
        """Of each label [labels]."""
        return np.asarray(self.correct.mean(0))

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @property
    def standard_error(self) -> float:
        return float(self.correct.mean(1).std() / math.sqrt(len(self)))  # labels of one example are not independent

    @property
    def exact_match(self) -> float:
        """The share of examples whose labels are all right."""
        return float(self.correct.all(1).mean())

    @property
    def calibration_error(self) -> float:
        return bins.calibration_error(
            np.maximum(self.probabilities, 1 - self.probabilities).ravel(), self.correct.ravel()
        )

    def figures(self) -> dict[str, float]:
        rates = self.at(THRESHOLD)
        means = {"precision": rates.precision, "recall": rates.recall, "f1": rates.f1}
        return {
            **super().figures(),
            "exact_match": self.exact_match,
            **{name: float(values.mean()) for name, values in means.items()},
        }

    def _nll(self, probabilities: Floats) -> float:
        answered = np.where(self.truth, probabilities, 1 - probabilities)
        return _surprise(answered, np.finfo(probabilities.dtype).eps)


@dataclass(frozen=True, eq=False)
class Regression(Evaluation):
    """Predicted numbers [N, 1], and the true ones [N]."""

    predictions: Floats

    @cached_property
    def errors(self) -> NDArray[np.float64]:
        """Predicted minus true numbers [N]."""
        return np.asarray(self.predictions[:, 0].astype(np.float64) - self.targets)

    @property
    def rmse(self) -> float:
        """Root of the mean squared error."""
        return math.sqrt((self.errors**2).mean())

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return float(np.abs(self.errors).mean())

    @property
    def r2(self) -> float:
        """The explained share of the variance; if all targets are equal, 1 for exact predictions, else 0."""
        wrong, spread = (self.errors**2).sum(), ((self.targets - self.targets.mean(dtype=np.float64)) ** 2).sum()
        return float(1 - wrong / spread) if spread else float(not wrong)

    def figures(self) -> dict[str, float]:
        return {"rmse": self.rmse, "mae": self.mae, "r2": self.r2}


def _surprise(answered: Floats, least: np.floating[Any]) -> float:
    """Mean of -log of the probabilities of the true classes."""
    return float(-np.log(np.clip(answered, least, 1), dtype=np.float64).mean())


def _share(part: Floats, whole: Any) -> Floats:
    ratios: Floats = np.divide(part, whole, out=np.zeros_like(part), where=np.asarray(whole) > 0)
    return ratios
