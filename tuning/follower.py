"""A view of a running sweep: its trials, read incrementally from the ledger."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry import news
from registry.core import Registry
from tuning.field import rungs
from tuning.scheduler import Bracket, Standing
from tuning.spec import SweepSpec


@dataclass
class Seen:
    """A trial with its last report."""

    number: int
    config: dict[str, Any]
    wave: int
    confirms: int | None = None
    status: str = "pending"
    problem: str | None = None
    epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    best: float | None = None

    @property
    def epochs(self) -> int:
        return int(self.config["epochs"])


class Follower:
    """Reads the new rows of a sweep on each call."""

    def __init__(self, registry: Registry, sweep: str, spec: SweepSpec) -> None:
        self._registry, self.sweep, self._spec = registry, sweep, spec
        self._last = 0
        self.trials: dict[int, Seen] = {}
        self._parts: dict[str, Any] = {}

    def poll(self) -> list[Seen]:
        """Read new rows; returns the trials whose status has changed."""
        statuses = news.statuses(self._registry, self.sweep)
        if (added := next((number for number, *_ in statuses if number not in self.trials), None)) is not None:
            self._meet(added)
        entries = news.reports(self._registry, self.sweep, self._last)
        changed = []  # from here on nothing is read, so that an outage loses no change
        for number, status, problem in statuses:
            trial = self.trials[number]
            if trial.status != status:
                trial.status, trial.problem = status, problem
                changed.append(trial)
        for entry in entries:
            if entry.trial not in self.trials:  # it was added just now; both are read next time
                break
            self._count(self.trials[entry.trial], entry.report.epoch, entry.report.metrics)
            self._last = entry.number
        return changed

    @property
    def trained(self) -> int:
        """The number of epochs trained so far."""
        return sum(trial.epoch for trial in self.trials.values())

    @property
    def total(self) -> int:
        """The number of trials in all, also of later waves of tpe; those that confirm others count once they exist."""
        return max(self._spec.total, len(self.trials))

    @property
    def expected(self) -> int:
        """The expected number of epochs in all."""
        confirming = [trial for trial in self.trials.values() if trial.confirms is not None]
        searched = [trial for trial in self.trials.values() if trial.confirms is None]
        whole = _expected(self._spec, searched) * self._spec.total // max(1, len(searched))
        return max(self.trained, whole + _expected(self._spec, confirming))

    def best(self) -> Seen | None:
        """The trial with the best score so far."""
        scored = [trial for trial in self.trials.values() if trial.best is not None]
        return max(scored, key=lambda trial: (trial.best or 0.0, -trial.number), default=None)

    def _meet(self, number: int) -> None:
        for trial in news.configs(self._registry, self.sweep, number):
            self.trials[trial.number] = Seen(trial.number, self._shared(trial.config), trial.wave, trial.confirms)

    def _shared(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The same config; what it has in common with others is kept once, which is most of its memory."""
        return {
            sys.intern(key): self._parts.setdefault(json.dumps(part), part) if isinstance(part, dict) else part
            for key, part in config.items()
        }

    def _count(self, trial: Seen, epoch: int, metrics: dict[str, float]) -> None:
        if epoch >= trial.epoch:  # a probe is epoch 0
            trial.epoch, trial.metrics = epoch, metrics
        if self._spec.objective.metric in metrics:
            score = self._spec.objective.score(metrics)
            trial.best = score if trial.best is None else max(score, trial.best)


def _expected(spec: SweepSpec, trials: Iterable[Seen]) -> int:
    """The expected number of epochs of trials that were all searched, or that all confirm others."""
    brackets: dict[tuple[int, int], list[Seen]] = {}
    for trial in trials:
        brackets.setdefault((trial.wave, trial.epochs), []).append(trial)
    total = 0
    for key, rivals in brackets.items():
        epochs = rungs(spec, [rival.config for rival in rivals], confirming=rivals[0].confirms is not None)
        racing = [Standing(rival.number, key, rival.status) for rival in rivals if rival.status != "skipped"]
        total += Bracket(racing, epochs).expected(key[1])
    return total
