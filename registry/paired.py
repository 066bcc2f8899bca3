"""Two versions judged on the same images: paired comparison of their right answers."""

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.evidence import Evidence
from tailorbird.package.heldout import Heldout

CONFIDENCE = 0.95
"""The confidence of each end of an interval, so that both together have 90%."""
SURE = NormalDist().inv_cdf(CONFIDENCE)
PRECISION = 1e-8


@dataclass(frozen=True)
class Paired:
    """The numbers of images that both versions, only the candidate, only the other, or neither classified correctly."""

    both: int
    gained: int
    lost: int
    neither: int

    @property
    def images(self) -> int:
        return self.both + self.gained + self.lost + self.neither

    @property
    def accuracies(self) -> tuple[float, float]:
        """The accuracies of the candidate and the other."""
        return (self.both + self.gained) / self.images, (self.both + self.lost) / self.images

    @property
    def difference(self) -> float:
        """The candidate's accuracy minus the other's."""
        return (self.gained - self.lost) / self.images

    def p_better(self) -> float:
        """The p-value of the gained images if both are equally good: exact McNemar, one-sided."""
        return _chance(self.gained, self.gained + self.lost, 0.5)

    def p_worse(self) -> float:
        """The p-value of the lost images if both are equally good."""
        return _chance(self.lost, self.gained + self.lost, 0.5)

    def interval(self) -> tuple[float, float]:
        """Ends of the difference in accuracy, each of them 95% sure: the paired score interval (Tango 1998)."""
        mirrored = Paired(self.both, self.lost, self.gained, self.neither)
        return self._least_difference(), -mirrored._least_difference()

    def _least_difference(self) -> float:
        low, high = -1.0, self.difference
        while high - low > PRECISION:
            middle = (low + high) / 2
            if self._score(middle) > SURE:
                low = middle
            else:
                high = middle
        return low

    def _score(self, true: float) -> float:
        """How many standard errors the observed difference is above a `true` one."""
        n, gained, lost = self.images, self.gained, self.lost
        a, b, c = 2 * n, (2 * n - gained + lost) * true - gained - lost, -lost * true * (1 - true)
        # the maximum-likelihood probability of a loss, given the difference
        losing = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
        variance = 2 * losing + true * (1 - true)
        return (gained - lost - n * true) / math.sqrt(n * variance) if variance > 0 else math.inf


@dataclass(frozen=True, eq=False)
class Shared:
    """The images that both versions were judged on, with the index of their true class among the candidate's.

    `of` is the number of images in the smaller split, `relabelled` the number of common images with different true
    classes, which are not included.
    """

    truth: NDArray[Any]
    candidate_right: NDArray[np.bool_]
    other_right: NDArray[np.bool_]
    of: int
    relabelled: int = 0

    def __len__(self) -> int:
        return len(self.truth)

    def overall(self) -> Paired:
        return self._paired(np.ones(len(self), np.bool_))

    def of_class(self, index: int) -> Paired:
        """The images of one true class, for which accuracy is recall."""
        return self._paired(self.truth == index)

    def _paired(self, chosen: NDArray[np.bool_]) -> Paired:
        ours, theirs = self.candidate_right[chosen], self.other_right[chosen]
        counts = np.bincount(2 * ours + theirs, minlength=4).tolist()
        return Paired(both=counts[3], gained=counts[2], lost=counts[1], neither=counts[0])


def shared(candidate: Evidence, other: Evidence) -> Shared | None:
    """Join two held-out splits by image; None if one of the two cannot be read.

    An image is shared if both have it with the same true class; duplicates count separately. Classes are compared by
    name.
    """
    ours, theirs = candidate.heldout, other.heldout
    if ours is None or theirs is None:
        return None
    names = {name: index for index, name in enumerate(dict.fromkeys((*candidate.classes, *other.classes)))}
    translation = np.array([names[name] for name in other.classes])
    mine, others = _join(_keys(ours, ours.labels), _keys(theirs, translation[theirs.labels]))
    relabelled = 0 if len(mine) == len(ours) else len(_join(ours.ids, theirs.ids)[0]) - len(mine)
    truth = ours.labels[mine]
    answers, their_answers = ours.probabilities[mine].argmax(1), theirs.probabilities[others].argmax(1)
    return Shared(
        truth,
        ours.finite[mine] & (answers == truth),
        theirs.finite[others] & (translation[their_answers] == truth),
        min(len(ours), len(theirs)),
        relabelled,
    )


def _keys(judged: Heldout, labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Ids and true classes as bytes, one row per image."""
    return np.hstack([judged.ids, labels.astype("<i4").reshape(-1, 1).view("u1")])


def _join(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The indices of equal rows in both, each row used once."""
    if np.array_equal(ours, theirs):  # the usual case, without sorting thousands of rows
        return (every := np.arange(len(ours))), every
    waiting = defaultdict(list)
    for index, row in enumerate(_rows(theirs)):
        waiting[row].append(index)
    pairs = [(index, indices.pop()) for index, row in enumerate(_rows(ours)) if (indices := waiting.get(row))]
    of_ours, of_theirs = np.array(pairs, np.intp).reshape(-1, 2).T
    return of_ours, of_theirs


def _rows(matrix: NDArray[np.uint8]) -> list[bytes]:
    return np.ascontiguousarray(matrix).view(f"V{matrix.shape[1]}").ravel().tolist()


def _chance(least: int, trials: int, p: float) -> float:
    """The probability of at least `least` successes in `trials` of probability p."""
    return _upper_tail(_log_choose(trials), least, p)


def _upper_tail(log_choose: NDArray[np.float64], least: int, p: float) -> float:
    trials = len(log_choose) - 1
    counts = np.arange(least, trials + 1)
    logs = log_choose[least:] + counts * math.log(p) + (trials - counts) * math.log1p(-p)
    return min(1.0, float(np.exp(logs).sum()))


def _log_choose(n: int) -> NDArray[np.float64]:
    """Logarithms of the binomial coefficients, which would overflow."""
    factorials = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    return np.asarray(factorials[-1] - factorials - factorials[::-1])
