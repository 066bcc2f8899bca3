"""The book of a sweep: the one owner of what becomes of its trials.

It gives groups of trials to workers, enters what they report, and answers each report with what the trial is to do.
All that it knows it has from the ledger, so that one that died is followed by another from the rows alone.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from registry import garbage, ledger
from registry.core import Registry
from registry.leases import Lease
from registry.ledger import Change, Group, Report
from tailorbird.errors import Unavailable
from tuning import search
from tuning.field import Field
from tuning.scheduler import Answer
from tuning.search import Misfit
from tuning.spec import SweepSpec

DEATHS = 3
"""A group fails whose process died so often without a new report."""
PATIENCE = 120
"""So many seconds a database or store may be away before the sweep gives up."""
RUBBISH = 64
"""So many superseded files are deleted at a time."""

Nothing = Literal["wait", "done"]
R = TypeVar("R")


@dataclass(frozen=True)
class Work:
    """A group to train: which of its trials, until which epoch, and from what.

    `configs` are those of all its trials in order of their numbers, which is the order of its lanes. `ended` has the
    last epochs of those that ended, perhaps after the state was stored: what is trained again, is trained as it was.
    """

    group: int
    attempt: int
    configs: dict[int, dict[str, Any]]
    due: list[int]
    ended: dict[int, int]
    until: int | None
    state: bytes | None


@dataclass(frozen=True)
class Measured:
    """What a trial measured after an epoch, with its weights where they are its best, and whether it is at its end."""

    trial: int
    epoch: int
    metrics: dict[str, float]
    weights: bytes | None = None
    whole: bool = False


class Book:
    """What the ledger says of a sweep, and the decisions that follow from it."""

    def __init__(self, registry: Registry, lease: Lease, spec: SweepSpec, misfit: Misfit = lambda _: None) -> None:
        self._registry, self._lease, self._spec, self._misfit = registry, lease, spec, misfit
        self._packaged: dict[str, frozenset[str]] = {}
        self._began = time.monotonic()
        trials = ledger.trials(registry, lease.sweep)
        self._field = Field(spec, trials)
        self._configs = {one.number: one.config for one in trials}
        self._members: dict[int, list[int]] = {}
        for one in trials:
            if one.status != "skipped":
                self._members.setdefault(one.group, []).append(one.number)
        self._group = {one.number: one.group for one in trials}
        self._kept = {
            one.number: next((r.checkpoint for r in one.reports[::-1] if r.checkpoint), None) for one in trials
        }
        self._spent = sum(r.metrics.get("seconds", 0.0) for one in trials for r in one.reports)
        self._groups = ledger.groups(registry, lease.sweep)
        self._held = {
            number: group.worker
            for number, group in self._groups.items()
            if group.worker
            and any(self._field.standings[one].status == "running" for one in self._members.get(number, []))
        }
        self._deaths: dict[int, int] = {}
        self._rubbish: set[str] = set()
        self._queue: deque[tuple[int, list[int]]] = deque()
        self._stale = True  # whether the queue may lack something that is due

    @property
    def limit(self) -> str | None:
        """The limit of the spec that is used up, if one is."""
        limits, cpus = self._spec.limits, self._spec.resources.cpus
        if limits.minutes is not None and time.monotonic() - self._began > 60 * limits.minutes:
            return f"limits.minutes, {limits.minutes:g}"
        if limits.cpu_minutes is not None and self._spent * cpus > 60 * limits.cpu_minutes:
            return f"limits.cpu_minutes, {limits.cpu_minutes:g}"
        return None

    def work(self, worker: str) -> Work | Nothing:
        """A group for a worker, which has no other one any more; `worker` is its place and the life that it is in."""
        place = worker.partition(".")[0]
        for group, holder in list(self._held.items()):
            if holder == worker:  # it asks again: the answer was lost
                self._release(group)
            elif holder.partition(".")[0] == place:
                self._die(group, "its process ended")
        chosen = self._next()
        if chosen is None:
            return "wait" if self._held else "done"
        return self._assigned(*chosen, worker)

    def report(self, group: int, attempt: int, measured: Iterable[Measured], state: bytes | None) -> dict[int, Answer]:
        """Enter what a group measured and, where there is one, the state that it goes on from; answers each trial."""
        changes, answers = [], dict[int, Answer]()
        files = [one.weights for one in measured if one.weights is not None]
        files += [] if state is None else [state]
        digests = deque(self._retried(lambda: self._registry.blobs.put_all(files)) if files else [])
        for one in measured:
            report = Report(one.epoch, one.metrics, digests.popleft() if one.weights is not None else None)
            status, answers[one.trial] = self._judged(one)
            if not self._beyond(one):
                changes.append(Change(one.trial, status, report=report))
        stored = digests.popleft() if digests else None
        self._enter(changes, (group, attempt), stored)
        self._deaths.pop(group, None)
        for change in changes:
            self._note(change)
        self._settle(group, stored)
        return answers

    def fail(self, group: int, attempt: int, problems: Mapping[int, str]) -> None:
        """Enter why trials of a group failed."""
        changes = [Change(trial, "failed", problem) for trial, problem in problems.items()]
        self._enter(changes, (group, attempt))
        for change in changes:
            self._note(change)
        self._settle(group, None)

    def lost(self, place: str, problem: str) -> None:
        """The process of a worker ended: what it had is begun again, or fails where that has happened too often."""
        for group, holder in list(self._held.items()):
            if holder.partition(".")[0] == place:
                self._die(group, problem)

    def tidy(self) -> None:
        """Delete the files that later ones have replaced."""
        if self._rubbish:
            garbage.discard(self._registry, self._rubbish, self._packaged)
            self._rubbish = set()

    def _next(self) -> tuple[int, list[int]] | None:
        if self.limit:
            return None
        if not self._queue and self._stale:
            self._fill()
            while not self._queue and not self._held and self._suggested():
                self._fill()
        return self._queue.popleft() if self._queue else None

    def _fill(self) -> None:
        due: dict[int, list[int]] = {}
        for number in self._field.due():
            due.setdefault(self._group[number], []).append(number)
        self._queue.extend((group, numbers) for group, numbers in due.items() if group not in self._held)
        self._stale = False

    def _suggested(self) -> bool:
        """Enter the next wave; whether there is one."""
        trials = ledger.trials(self._registry, self._lease.sweep)
        wave = search.suggest(self._spec, trials, self._misfit)
        if not wave:
            return False
        self._retried(lambda: ledger.add(self._registry, self._lease, wave, len(trials) + 1))
        fresh = ledger.trials(self._registry, self._lease.sweep)[len(trials) :]
        self._field.add(fresh)
        for one in fresh:
            self._configs[one.number], self._group[one.number], self._kept[one.number] = one.config, one.group, None
            self._groups.setdefault(one.group, Group(one.group, 0, None, None))
            if one.status != "skipped":
                self._members.setdefault(one.group, []).append(one.number)
        return True

    def _assigned(self, group: int, due: list[int], worker: str) -> Work:
        until = self._until(due)
        if until == 0:
            due = [one for one in due if self._rung(one) == 0]  # a probe is not gone on from
        attempt = self._retried(lambda: ledger.assign(self._registry, self._lease, group, due, worker))
        digest = self._groups[group].state
        state = None if digest is None else self._retried(lambda: self._registry.blobs.get(digest))
        self._groups[group] = Group(group, attempt, worker, digest)
        self._held[group] = worker
        for number in due:
            self._field.standings[number].status = "running"
        standings = [self._field.standings[number] for number in self._members[group]]
        ended = {one.number: max(one.scores, default=0) for one in standings if one.ended}
        configs = {number: self._configs[number] for number in self._members[group]}
        return Work(group, attempt, configs, due, ended, until, state)

    def _until(self, due: list[int]) -> int | None:
        """The next epoch after which any of these is compared with its rivals."""
        rungs = [self._rung(one) for one in due]
        return min((rung for rung in rungs if rung is not None), default=None)

    def _rung(self, number: int) -> int | None:
        return self._field.rung(number, max(self._field.standings[number].scores, default=-1))

    def _beyond(self, one: Measured) -> bool:
        """Whether a trial that ended was trained on, which is of no account."""
        standing = self._field.standings[one.trial]
        return standing.ended and one.epoch > max(standing.scores, default=0)

    def _judged(self, one: Measured) -> tuple[str | None, Answer]:
        standing = self._field.standings[one.trial]
        if standing.ended:  # trained again beside others
            return None, "go on" if one.epoch < max(standing.scores, default=0) else "stop"
        answer = self._field.report(one.trial, one.epoch, one.metrics)
        if one.whole:
            return "finished", "stop"
        if answer == "go on" and self.limit:
            answer = "pause"
        return _STATUS[answer], answer

    def _enter(self, changes: list[Change], attempt: tuple[int, int], state: str | None = None) -> None:
        self._retried(lambda: ledger.enter(self._registry, self._lease, changes, attempt, state))

    def _note(self, change: Change) -> None:
        """Keep in mind what was entered."""
        standing = self._field.standings[change.trial]
        if change.status and not standing.ended:
            standing.status, self._stale = change.status, True
        if change.report:
            self._spent += change.report.metrics.get("seconds", 0.0)
            if change.report.checkpoint:
                self._supersede(self._kept[change.trial])
                self._kept[change.trial] = change.report.checkpoint

    def _settle(self, group: int, state: str | None) -> None:
        """See what is left of a group after some of its trials have left."""
        known = self._groups[group]
        if state is not None and state != known.state:
            self._supersede(known.state)
            self._groups[group] = Group(group, known.attempt, known.worker, state)
        if all(self._field.standings[one].status != "running" for one in self._members[group]):
            self._held.pop(group, None)
            self._deaths.pop(group, None)

    def _supersede(self, digest: str | None) -> None:
        if digest is not None:
            self._rubbish.add(digest)
        if len(self._rubbish) >= RUBBISH:
            self.tidy()

    def _die(self, group: int, problem: str) -> None:
        self._deaths[group] = self._deaths.get(group, 0) + 1
        if self._deaths[group] < DEATHS:
            return self._release(group)
        running = [one for one in self._members[group] if self._field.standings[one].status == "running"]
        return self.fail(group, self._groups[group].attempt, dict.fromkeys(running, problem))

    def _release(self, group: int) -> None:
        known = self._groups[group]
        self._retried(lambda: ledger.release(self._registry, self._lease, group, known.attempt))
        for number in self._members[group]:
            if self._field.standings[number].status == "running":
                self._field.standings[number].status = "interrupted"
        self._held.pop(group, None)
        self._stale = True

    def _retried(self, act: Callable[[], R]) -> R:
        """Do it again while a database or store is away, since what is trained already is worth waiting for."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return act()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)


_STATUS: dict[Answer, str | None] = {"go on": None, "pause": "paused", "stop": "stopped"}
