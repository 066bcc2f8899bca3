"""The judgement of a served version: a pure function of its baseline, the observations and a policy."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tailorbird.drift import cells, change, intervals, transport
from tailorbird.drift.estimator import Estimator
from tailorbird.drift.intervals import Accuracy
from tailorbird.drift.policy import Policy
from tailorbird.package.baseline import Baseline

Floats = NDArray[np.float64]
State = Literal["healthy", "drifted", "suspected", "too little data"]
LEAST_LABELS = 30
LEAST_DROP = 0.01
"""Smaller drops of the fitted estimate never raise an alarm."""
SURE = 5.0
"""Standard errors above which an alarm is raised: weights overfit their examples, and checks are frequent."""
WIDE_GAP = 0.05
"""The difference of the two estimates by class mix, beyond chance, above which it is reported."""
USEFUL_WIDTH = 0.1
"""The widest interval that is acted on; with a wider one, more labels are requested."""
BASELINE_ERRORS = 2.0
"""Standard errors of the baseline that are tolerated."""
SHARE_ERRORS = 2.0
"""Standard errors of the bins' shares by which the interval is widened on each side."""


@dataclass(frozen=True, eq=False)
class Known:
    """A version at its registration; `accuracies` and `count` are by cell [classes, bins].

    `estimator` is None if its package has none.
    """

    classes: tuple[str, ...]
    accuracy: float
    accuracies: Floats
    count: Floats
    estimator: Estimator | None

    @classmethod
    def of(cls, classes: Sequence[str], baseline: Baseline, estimator: Estimator | None) -> "Known":
        """From the baseline and the estimator of a model with these classes."""
        count, correct = (cells.table(baseline.bins, classes, key) for key in ("count", "correct"))
        return cls(tuple(classes), baseline.accuracy, cells.accuracies(count, correct), count, estimator)

    @property
    def tolerance(self) -> float:
        """The tolerated drop below the baseline, which was itself measured on a sample."""
        error = math.sqrt(self.accuracy * (1 - self.accuracy) / self.count.sum())
        return max(change.TOLERANCE, BASELINE_ERRORS * error)


@dataclass(frozen=True, eq=False)
class Observed:
    """The observations since: predictions of the window, labels and those that agree [classes, bins].

    `evidence` is that of `change`, `mix_steady` the estimate by an endpoint from its last answers.
    """

    predictions: Floats
    labels: Floats
    correct: Floats
    evidence: float = 0.0
    mix_steady: float | None = None


@dataclass(frozen=True)
class Judgement:
    """The state, its reasons and further notes, in sentences, and the figures that it is based on."""

    state: State
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    estimates: Mapping[str, float | None]
    labelled: Accuracy | None
    evidence: Mapping[str, Any]


def judge(known: Known, observed: Observed, policy: Policy) -> Judgement:
    """Labels come first, then estimates; if neither shows a drop, missing data is reported."""
    estimates = estimate(known, observed)
    labelled = accuracy(known, observed, policy)
    proof = tuple(_proof(known, observed, labelled, policy))
    doubts = tuple(_doubts(known, observed, estimates, policy))
    predictions = float(observed.predictions.sum())
    state: State
    if proof:
        state, reasons = "drifted", (*proof, *doubts)
    elif doubts:
        state, reasons = "suspected", (*doubts, _asked(known, observed, policy))
    elif _blind(known, observed, estimates, policy):
        counted = f"{predictions:,.0f} predictions in the window"
        state, reasons = "too little data", (counted, _asked(known, observed, policy))
    else:
        state, reasons = "healthy", ()
    notes = tuple(_notes(known, observed, estimates, policy))
    return Judgement(state, reasons, notes, estimates, labelled, _record(known, observed, estimates, labelled))


ASSUMPTIONS = ("fitted", "mix_moves", "mix_steady")


def estimate(known: Known, observed: Observed) -> dict[str, float | None]:
    """The estimates by their assumption; None if there is none."""
    estimator, counts = known.estimator, observed.predictions
    fitted = estimator.fitted(counts) if estimator else None
    mix_moves = estimator.mix_moves(counts) if estimator else None
    return dict(zip(ASSUMPTIONS, (fitted, mix_moves, observed.mix_steady), strict=True))


def accuracy(known: Known, observed: Observed, policy: Policy) -> Accuracy | None:
    """The labelled accuracy, stratified by bin with the shares of the window's predictions, or the baseline's.

    A few predictions do not determine shares: with one, its bin would have all the weight. The interval is widened by
    the sampling error of the shares.
    """
    shares, expected = _shares(known, observed, policy), _of_bins(known)
    labelled = intervals.accuracy(observed.labels.sum(0), observed.correct.sum(0), shares, expected)
    if labelled is None or not _enough(observed, policy):
        return labelled
    spread = shares @ (expected - shares @ expected) ** 2
    noise = SHARE_ERRORS * float(np.sqrt(spread / observed.predictions.sum()))
    return replace(labelled, low=max(0.0, labelled.low - noise), high=min(1.0, labelled.high + noise))


def needed(known: Known, observed: Observed, policy: Policy) -> int:
    """The estimated number of labels until the interval is narrow enough to act on."""
    shares = _shares(known, observed, policy)
    return intervals.needed(observed.labels.sum(0), observed.correct.sum(0), shares, _of_bins(known), USEFUL_WIDTH)


def _enough(observed: Observed, policy: Policy) -> bool:
    return bool(observed.predictions.sum() >= policy.predictions)


def _shares(known: Known, observed: Observed, policy: Policy) -> Floats:
    """The share of each bin [bins] among the predictions of the window or, if these are few, at registration."""
    served = observed.predictions if _enough(observed, policy) else known.count
    return np.asarray(served.sum(0) / served.sum())


def _of_bins(known: Known) -> Floats:
    weights = known.count + 1
    return np.asarray((weights * known.accuracies).sum(0) / weights.sum(0))


def _proof(known: Known, observed: Observed, labelled: Accuracy | None, policy: Policy) -> Iterator[str]:
    if labelled is None:
        return
    if labelled.labels >= LEAST_LABELS and known.accuracy - labelled.high > max(policy.drop, known.tolerance):
        yield (
            f"accuracy by labels is {labelled.value:.1%} ({labelled.low:.1%} to {labelled.high:.1%}, "
            f"{labelled.labels:,} labels); it was {known.accuracy:.1%} at registration"
        )
    if observed.evidence >= change.THRESHOLD and known.accuracy - labelled.value > known.tolerance:
        yield f"errors are more frequent than at registration: evidence {observed.evidence:.3g} from labels"


def _doubts(known: Known, observed: Observed, estimates: Mapping[str, float | None], policy: Policy) -> Iterator[str]:
    if not _enough(observed, policy) or known.estimator is None:
        return
    assumed = "mix_steady" if policy.class_mix == "steady" else "mix_moves"
    for name in ("fitted", assumed):
        value = estimates[name]
        if value is not None and alarms(known.estimator, name, known.accuracy - value, observed.predictions, policy):
            yield f"the estimate {MEANINGS[name]} is {value:.1%}; accuracy was {known.accuracy:.1%} at registration"


def alarms(estimator: Estimator, assumes: str, drop: float, counts: Floats, policy: Policy) -> bool:
    """Whether a drop of an estimate, for counts [classes, bins], is too large, and more than chance explains."""
    if assumes == "mix_steady":
        return drop - transport.chance(estimator.mix) > max(policy.drop, SURE * estimator.steady_noise())
    least, noise = (LEAST_DROP, estimator.fitted_noise) if assumes == "fitted" else (policy.drop, estimator.mix_noise)
    return drop > least and drop > SURE * noise(counts)


def _notes(known: Known, observed: Observed, estimates: Mapping[str, float | None], policy: Policy) -> Iterator[str]:
    """Notes that are no alarm: if the class mix may move, a move is not a drop."""
    moves, steady = estimates["mix_moves"], estimates["mix_steady"]
    if not _enough(observed, policy) or known.estimator is None or moves is None or steady is None:
        return
    if moves - steady - transport.chance(known.estimator.mix) > WIDE_GAP:
        yield "the estimates disagree: the class mix changed or unknown classes appeared; label some examples"


MEANINGS = {
    "fitted": "fitted on corruptions",
    "mix_moves": "if only the class mix changed",
    "mix_steady": "if the class mix is as in training",
}
"""The assumption of each estimate, in words."""


def _blind(known: Known, observed: Observed, estimates: Mapping[str, float | None], policy: Policy) -> bool:
    estimated = _enough(observed, policy) and any(value is not None for value in estimates.values())
    return not estimated and needed(known, observed, policy) > 1


def _asked(known: Known, observed: Observed, policy: Policy) -> str:
    more = needed(known, observed, policy)
    return f"about {more:,} more labels are needed" if more > 1 else "labels do not prove a drop"


def _record(
    known: Known, observed: Observed, estimates: Mapping[str, float | None], labelled: Accuracy | None
) -> dict[str, Any]:
    return {
        "baseline": known.accuracy,
        "predictions": float(observed.predictions.sum()),
        "estimates": dict(estimates),
        "labels": None if labelled is None else {**vars(labelled)},
        "change": min(observed.evidence, 1e300),
    }
