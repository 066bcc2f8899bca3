"""The choice among the best trials of a sweep, accounting for chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from registry import ledger
from registry.core import Registry
from registry.leases import Lease
from registry.ledger import Change
from registry.paired import Paired
from training import evaluation
from training.config import RunConfig
from training.features import Views
from training.network import restored
from training.scores import Classification
from training.splits import Splits
from tuning import confirmation
from tuning.misfits import parameters
from tuning.outcome import FINALISTS, Ranked
from tuning.patience import patient
from tuning.spec import SweepSpec

LEVEL = 0.05
"""The significance level at which a trial counts as worse than the best."""

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """The chosen trial, and why; `ties` are the trials that are not significantly worse than the best."""

    taken: Ranked
    ties: tuple[int, ...] = ()
    reason: str | None = None


def choose(registry: Registry, lease: Lease, ranked: Sequence[Ranked], spec: SweepSpec, views: Views) -> Choice:
    """By the confirming trials, if there are any; else the smallest of those that are as good as the best.

    Which validation examples each of these gets right is stored with the trial.
    """
    if confirmed := _confirmed(ranked, spec):
        return confirmed
    ended = [candidate for candidate in ranked if candidate.trial.status == "finished" or candidate is ranked[0]]
    finalists = ended[:FINALISTS]
    if len(finalists) < 2 or spec.objective.metric != "val_accuracy" or not len(views.splits.validation):
        return Choice(ranked[0])
    answers = [_right(registry, finalist, views) for finalist in finalists]
    right = [answer for answer in answers if answer is not None]
    if len(right) < len(finalists):
        return Choice(ranked[0])
    patient(lambda: _store(registry, lease, finalists, right))
    ties = [
        finalist for finalist, answered in zip(finalists, right, strict=True) if p_value(right[0], answered) >= LEVEL
    ]
    sizes = _sizes(ties, views.splits)
    taken = min(ties, key=lambda tie: sizes[tie.trial.number])  # of equally small ones the better, which comes first
    return Choice(taken, tuple(tie.trial.number for tie in ties), _reason(ties, taken, sizes))


def unpacked(stored: bytes) -> Right:
    """Whether each example was right, as stored by `choose`, padded with False to whole bytes."""
    return np.unpackbits(np.frombuffer(stored, np.uint8)).astype(bool)


def p_value(first: Right, second: Right) -> float:
    """McNemar's exact test: the probability that equally good models differ at least this much on these examples."""
    pairs = Paired(*(int(part.sum()) for part in (first & second, first & ~second, second & ~first, ~first & ~second)))
    return min(1.0, 2 * min(pairs.p_better(), pairs.p_worse()))


def _confirmed(ranked: Sequence[Ranked], spec: SweepSpec) -> Choice | None:
    """The best run of the leading config whose other seeds score best on average.

    A run that failed, or that a limit prevented, counts as worse than any score: configs with more runs come first.
    """
    members = {candidate.trial.number: candidate for candidate in ranked}
    runs: dict[int, list[Ranked]] = {}
    for leader in confirmation.leaders(spec, [candidate.trial for candidate in ranked]):
        if leader.runs:
            runs[leader.trial.number] = [members[number] for number in leader.runs]
    if not runs:
        return None
    objective = spec.objective
    means = {
        number: float(np.mean([objective.score(member.best.metrics) for member in members]))
        for number, members in runs.items()
    }
    best, *_ = ordered = sorted(means, key=lambda number: (-len(runs[number]), -means[number], number))
    whole = spec.confirm.seeds if spec.confirm else 0
    lacking = {number: f", {len(runs[number])} of {whole} runs" for number in ordered if len(runs[number]) < whole}
    known = ", ".join(f"{abs(means[number]):.4f} (trial {number}{lacking.get(number, '')})" for number in ordered)
    taken = runs[best][0]
    reason = (
        f"by the mean {objective.metric} of other seeds: {known}; "
        f"chose trial {taken.trial.number}, the best of the runs that confirm trial {best}"
    )
    return Choice(taken, (best,), reason)


def _right(registry: Registry, candidate: Ranked, views: Views) -> Right | None:
    config = RunConfig.model_validate(candidate.trial.config)
    splits = views.prepared(config)
    weights = patient(lambda: registry.blobs.get(candidate.best.checkpoint or ""))
    network = restored(config, splits, weights)
    scored = evaluation.of(network, splits.validation, splits.kind)
    return scored.correct if isinstance(scored, Classification) else None


def _store(registry: Registry, lease: Lease, finalists: Sequence[Ranked], right: Sequence[Right]) -> None:
    digests = registry.blobs.put_all([np.packbits(bits).tobytes() for bits in right])
    changes = [
        Change(finalist.trial.number, answers=digest) for finalist, digest in zip(finalists, digests, strict=True)
    ]
    ledger.enter(registry, lease, changes)


def _sizes(ties: Sequence[Ranked], splits: Splits) -> dict[int, int]:
    """The number of parameters of each; networks that differ only in dropout are built once."""
    known: dict[str, int] = {}
    sizes = {}
    for tie in ties:
        config = RunConfig.model_validate(tie.trial.config)
        network = config.model.model_dump_json(exclude={"dropout"})
        if network not in known:
            known[network] = parameters(config, splits.train.shape, splits.kind, splits.classes)
        sizes[tie.trial.number] = known[network]
    return sizes


def _reason(ties: Sequence[Ranked], taken: Ranked, sizes: Mapping[int, int]) -> str | None:
    if len(ties) < 2:
        return None
    others = ", ".join(str(tie.trial.number) for tie in ties[1:])
    chosen, size = taken.trial.number, sizes[taken.trial.number]
    equal = len({*sizes.values()}) == 1
    why = f"the best, since all have {size:,} parameters" if equal else f"which has the fewest parameters, {size:,}"
    return f"not significantly worse than trial {ties[0].trial.number}: {others}; chose trial {chosen}, {why}"
