"""Decisions on which trials continue: pure functions of the ledger.

Synchronous successive halving (Jamieson & Talwalkar 2016): the trials of a bracket train to a rung and wait there for
each other, and the best third, rounded up, goes on to the next. A bracket is the trials of one wave with the same
number of epochs: under a decaying schedule, the score at an epoch depends on how many are to come.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FACTOR = 3
"""The reduction factor: one in this many trials continues, and rungs are spaced by it."""

ENDED = ("finished", "failed", "stopped", "skipped")
Answer = Literal["go on", "pause", "stop"]
SchedulerName = Literal["halving", "asha", "none"]


@dataclass
class Standing:
    """The progress of a trial: its scores by epoch, larger is better, and its latest pace in seconds per epoch.

    `scores` are those by which trials are compared at rungs, `best` is the best one of the weights themselves.
    """

    number: int
    bracket: tuple[int, int]
    status: str
    scores: dict[int, float] = field(default_factory=dict)
    best: float = -math.inf
    thawed: bool = False
    pace: float = 0.0

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True)
class Bracket:
    """Trials that compete, and the epochs after which the worse ones stop."""

    trials: Sequence[Standing]
    rungs: Sequence[int]

    def survivors(self, rung: int) -> frozenset[int] | None:
        """The trials that continue beyond a rung; None while some have not reached it."""
        entrants = {trial.number for trial in self.trials}
        for epoch in self.rungs[: self.rungs.index(rung) + 1]:
            racing = [trial for trial in self.trials if trial.number in entrants]
            arrived = [trial for trial in racing if epoch in trial.scores]
            if not all(trial.ended for trial in racing if epoch not in trial.scores):
                return None
            entrants = set(_best(arrived, epoch))
        return frozenset(entrants)

    def expected(self, epochs: int) -> int:
        """The total epochs of the bracket, if a third of the trials passes each rung."""
        left, total, before = len(self.trials), 0, 0
        for rung in [*self.rungs, epochs]:
            total += left * (rung - before)
            left, before = -(-left // FACTOR), rung
        return total

    def leads(self, trial: Standing, rung: int) -> bool:
        """Whether a trial is among the best of those that have reached a rung so far."""
        return trial.number in _best([trial for trial in self.trials if rung in trial.scores], rung)


@dataclass(frozen=True)
class Scheduler:
    """Decides how the trials of a sweep continue, by the scheduler that its spec names."""

    name: SchedulerName

    def rungs(self, rivals: Sequence[Mapping[str, Any]], probe: bool = False) -> list[int]:
        """The epochs after which trials with these run configs are compared; all have the same number of epochs.

        They are 1, 3, 9 and so on, each rounded up to an epoch after which all are measured. With `probe`, trials are
        also compared within their first epoch, as epoch 0, which is informative only while the rate is constant.
        """
        if self.name == "none" or len(rivals) < 2:
            return []
        epochs = rivals[0]["epochs"]
        every = math.lcm(*{config["measure_every"] for config in rivals})
        constant = all(config["schedule"]["name"] == "constant" for config in rivals)
        levels = [0] if probe and constant and self.name == "halving" and epochs > 1 else []
        level = 1
        while level < epochs:
            levels.append(-(-level // every) * every)
            level *= FACTOR
        return sorted({level for level in levels if level < epochs})

    def answer(self, trial: Standing, epoch: int, bracket: Bracket) -> Answer:
        """The decision for a trial that has just reported an epoch; its scores include it."""
        if trial.thawed or epoch not in bracket.rungs:
            return "go on"
        if self.name == "halving":
            return "pause"
        return "go on" if bracket.leads(trial, epoch) else "stop"

    def due(self, bracket: Bracket) -> list[int]:
        """The trials of a bracket to be trained now: new ones, interrupted ones, survivors of a rung.

        A trial may be paused before its first rung: by a limit, or at a rung of a release that had others.
        """
        survivors = {rung: bracket.survivors(rung) or frozenset() for rung in bracket.rungs}
        due = []
        for trial in bracket.trials:
            rung = max((epoch for epoch in bracket.rungs if epoch in trial.scores), default=None)
            continues = trial.thawed or rung is None or trial.number in survivors[rung]
            if trial.status in ("pending", "interrupted") or (trial.status == "paused" and continues):
                due.append(trial.number)
        return due

    def behind(self, bracket: Bracket) -> list[int]:
        """The trials that lost at a rung, and continue only if they are thawed."""
        survivors = {rung: bracket.survivors(rung) for rung in bracket.rungs}
        behind = []
        for trial in bracket.trials:
            rung = max((epoch for epoch in bracket.rungs if epoch in trial.scores), default=None)
            going = survivors[rung] if rung is not None else None
            lost = trial.status == "paused" and going is not None and trial.number not in going
            if trial.status == "stopped" or (lost and not trial.thawed):
                behind.append(trial.number)
        return behind


def merit(trial: Standing, rungs: Sequence[int], rivals: Sequence[Standing]) -> float:
    """The merit of a trial in a sweep, from 0 to 1: first by the last rung that it passed, then by its rank there.

    This makes trials that stopped early, and those of different brackets, comparable.
    """
    if not trial.scores:
        return 0.0
    level = sum(epoch in trial.scores for epoch in rungs)
    if trial.status == "finished":
        level, score = len(rungs) + 1, trial.best
        same = [rival.best for rival in rivals if rival.status == "finished"]
    else:
        epoch = rungs[level - 1] if level else min(trial.scores)
        same = [rival.scores[epoch] for rival in rivals if epoch in rival.scores]
        score = trial.scores[epoch]
    beaten = sum(other < score for other in same) / len(same)
    return (level + beaten) / (len(rungs) + 2)


def _best(trials: Sequence[Standing], epoch: int) -> list[int]:
    """The best third, rounded up, by score after an epoch; ties are broken by number."""
    ordered = sorted(trials, key=lambda trial: (-trial.scores[epoch], trial.number))
    return [trial.number for trial in ordered[: -(-len(ordered) // FACTOR)]]
