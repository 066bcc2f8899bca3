"""The field of a sweep: the standing of each trial among its competitors, from the ledger's rows."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry.ledger import Trial
from tuning import groups, scheduler
from tuning.scheduler import Answer, Bracket, Scheduler, Standing
from tuning.spec import SweepSpec


def rungs(spec: SweepSpec, rivals: Sequence[Mapping[str, Any]], *, confirming: bool) -> list[int]:
    """The epochs after which trials with these configs are compared; those that confirm others are not."""
    return Scheduler("none" if confirming else spec.stopping).rungs(rivals, spec.probe)


class Field:
    """Standings of trials, updated with each report; they depend on the spec and the reports alone."""

    def __init__(self, spec: SweepSpec, trials: Iterable[Trial] = ()) -> None:
        self._spec, self._objective = spec, spec.objective
        self._scheduler = Scheduler(spec.stopping)
        self.standings: dict[int, Standing] = {}
        self._brackets: dict[tuple[int, int], Bracket] = {}
        self._shapes: dict[int, str] = {}
        self._paces: dict[str, float] = {}
        self.add(trials)

    def add(self, trials: Iterable[Trial]) -> None:
        """Add trials with their reports."""
        fresh: dict[tuple[int, int], list[Standing]] = {}
        configs: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
        confirming = set()
        for trial in trials:
            key = (trial.wave, trial.config["epochs"])
            standing = Standing(trial.number, key, trial.status, thawed=trial.thawed)
            self._shapes[trial.number] = sys.intern(groups.shape(trial.config))
            for report in trial.reports:
                self._score(standing, report.epoch, report.metrics)
            self.standings[trial.number] = standing
            fresh.setdefault(key, []).append(standing)
            configs.setdefault(key, []).append(trial.config)
            if trial.confirms is not None:
                confirming.add(key)
        for key, rivals in fresh.items():
            epochs = rungs(self._spec, configs[key], confirming=key in confirming)
            self._brackets[key] = Bracket(rivals, epochs)

    def bracket(self, number: int) -> Bracket:
        return self._brackets[self.standings[number].bracket]

    def report(self, number: int, epoch: int, metrics: Mapping[str, float]) -> Answer:
        """Add a report, and decide how the trial continues."""
        standing = self.standings[number]
        if epoch in standing.scores:  # trained again, on the way to where it was, or reported again
            return "pause" if standing.status == "paused" else "go on"
        self._score(standing, epoch, metrics)
        return self.answer(number)

    def answer(self, number: int) -> Answer:
        """How a trial continues after its last epoch."""
        standing = self.standings[number]
        return self._scheduler.answer(standing, max(standing.scores), self.bracket(number))

    def due(self) -> list[int]:
        """The trials to be trained now, in order."""
        return sorted(number for bracket in self._brackets.values() for number in self._scheduler.due(bracket))

    def behind(self) -> list[int]:
        """The trials that lost at a rung, and continue only if they are thawed."""
        return [number for bracket in self._brackets.values() for number in self._scheduler.behind(bracket)]

    def rungs(self, number: int, after: int) -> list[int]:
        """The next epochs after which a trial is compared; none if it may train to its end."""
        if self.standings[number].thawed:
            return []
        return [epoch for epoch in self.bracket(number).rungs if epoch > after]

    @property
    def paced(self) -> int:
        """The number of shapes (`groups.shape`) whose pace is known."""
        return len(self._paces)

    def left(self, number: int) -> float:
        """Estimated seconds until a trial is compared, or ends; infinite if none of its shape has reported yet."""
        standing = self.standings[number]
        trained = max(standing.scores, default=0)
        pace = standing.pace or self._paces.get(self._shapes[number], math.inf)
        return pace * (next(iter(self.rungs(number, trained)), standing.bracket[1]) - trained)

    def merit(self, number: int) -> float:
        """From 0 to 1, see `scheduler.merit`."""
        bracket = self.bracket(number)
        return scheduler.merit(self.standings[number], bracket.rungs, bracket.trials)

    def _score(self, standing: Standing, epoch: int, metrics: Mapping[str, float]) -> None:
        metric = self._objective.metric
        own = self._scored(metrics)
        mean = f"mean_{metric}"  # weights whose rate has not decayed yet are compared by their running mean
        trained = max(standing.scores, default=0)
        standing.pace = metrics.get("seconds", 0.0) / max(1, epoch - trained)  # a report is of several epochs
        self._paces[self._shapes[standing.number]] = standing.pace
        standing.scores[epoch] = self._scored({metric: metrics[mean]}) if mean in metrics else own
        standing.best = max(standing.best, own)

    def _scored(self, metrics: Mapping[str, float]) -> float:
        score = self._objective.score(metrics) if self._objective.metric in metrics else math.nan
        return -math.inf if math.isnan(score) else score
