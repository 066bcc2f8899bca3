"""The book of a sweep: the only owner of the state of its trials.

It assigns groups of trials to workers, records their reports, and answers each with the decision for the trial. All its
state is in the ledger, so that after a crash another book continues from the rows alone.
"""

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from registry import garbage, ledger
from registry.core import Registry
from registry.leases import Lease
from registry.ledger import Change, Group, Report, Trial
from tailorbird.errors import Corrupt, LeaseLost, Unavailable
from tuning import ranks, search
from tuning.field import Field
from tuning.patience import patient
from tuning.scheduler import Answer
from tuning.search import Misfit
from tuning.spec import SweepSpec
from tuning.work import Measured, Nothing, Work

DEATHS = 3
"""The number of deaths of a group's process, without a new report in between, at which the group fails."""
RUBBISH = 64
"""The number of files that are deleted at a time; more in a sweep of many trials."""


class Book:
    """The state of a sweep by the ledger, and the decisions that follow from it."""

    def __init__(
        self,
        registry: Registry,
        lease: Lease,
        spec: SweepSpec,
        misfit: Misfit = lambda _: None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self._registry, self._lease, self._spec = registry, lease, spec
        self._misfit, self._sizes = misfit, sizes
        self._packaged: dict[str, frozenset[str]] = {}
        self._began = time.monotonic()
        trials = ledger.trials(registry, lease.sweep)
        self._field = Field(spec, trials)
        self._configs = {trial.number: trial.config for trial in trials}
        self._members: dict[int, list[int]] = {}
        for trial in trials:
            if trial.status != "skipped":
                self._members.setdefault(trial.group, []).append(trial.number)
        self._group = {trial.number: trial.group for trial in trials}
        self._kept: dict[int, Report] = {}
        self._merits: dict[int, ranks.Merit] = {}
        for trial in trials:
            for report in trial.reports:
                self._keep(trial.number, report)
        self._outranked = {trial.number for trial in trials if trial.outranked}
        self._confirming = {trial.number for trial in trials if trial.confirms is not None}
        self._spent = sum(r.metrics.get("seconds", 0.0) for trial in trials for r in trial.reports)
        self._groups = ledger.groups(registry, lease.sweep)
        self._held = {
            number: group.worker
            for number, group in self._groups.items()
            if group.worker
            and any(self._field.standings[member].status == "running" for member in self._members.get(number, []))
        }
        self._deaths: dict[int, int] = {}
        self._rubbish: set[str] = set()
        self._undeleted = 0  # files that could not be deleted the last time
        self._settled = 0  # trials whose files changed since the last deletion
        self._queue: deque[tuple[int, list[int]]] = deque()
        self._paced = 0  # shapes whose pace was known when the queue was sorted
        self._stale = True  # whether the queue has to be filled again

    @property
    def limit(self) -> str | None:
        """The limit of the spec that has been reached, if any."""
        limits, cpus = self._spec.limits, self._spec.resources.cpus
        if limits.minutes is not None and time.monotonic() - self._began > 60 * limits.minutes:
            return f"limits.minutes, {limits.minutes:g}"
        if limits.cpu_minutes is not None and self._spent * cpus > 60 * limits.cpu_minutes:
            return f"limits.cpu_minutes, {limits.cpu_minutes:g}"
        return None

    def work(self, worker: str) -> Work | Nothing:
        """The next group for a worker, which gives up any other; `worker` is its place and its life.

        Groups of earlier lives of the place are started again, without counting a death: after a network partition, two
        lives may exist, and neither knows which will last.
        """
        for group, holder in list(self._held.items()):
            if _place(holder) == _place(worker):
                self._release(group)
        chosen = self._next()
        if chosen is None:
            return "wait" if self._held else "done"
        return self._assigned(*chosen, worker)

    def report(self, group: int, attempt: int, measured: Iterable[Measured], state: bytes | None) -> dict[int, Answer]:
        """Record a group's reports and, if passed, the state to resume from; returns a decision for each trial.

        Raises LeaseLost if another worker has, or may have, the group by now.
        """
        if attempt != self._groups[group].attempt:  # before its reports are judged, since the ledger will refuse them
            raise LeaseLost(self._lease.sweep, f"has assigned group {group} of its trials to another worker")
        answers, kept = dict[int, Answer](), list[tuple[Measured, str | None]]()
        for result in measured:
            status, answers[result.trial] = self._judged(result)
            if not self._beyond(result):
                kept.append((result, status))
        changes, stored = patient(lambda: self._enter(kept, (group, attempt), state))
        self._deaths.pop(group, None)
        for change in changes:
            self._note(change)
        self._settle(group, stored)
        fresh = len(self._rubbish) - self._undeleted
        if max(fresh, self._settled) >= max(RUBBISH, len(self._configs) // 50):  # it looks at every trial
            self.tidy()
        return answers

    def fail(self, group: int, attempt: int, problems: Mapping[int, str]) -> None:
        """Record why trials of a group failed; those that wait at a rung or have ended are not affected."""
        running = {number for number in problems if self._field.standings[number].status == "running"}
        changes = [Change(trial, "failed", problem) for trial, problem in problems.items() if trial in running]
        patient(lambda: ledger.enter(self._registry, self._lease, changes, (group, attempt)))
        for change in changes:
            self._note(change)
        self._settle(group, None)

    def lost(self, machine: str, problem: str) -> None:
        """A worker's process has ended: its group is started again, or fails if that has happened too often."""
        for group, holder in list(self._held.items()):
            if _place(holder) == machine:
                self._die(group, problem)

    def tidy(self) -> None:
        """Delete files that were replaced by later ones, and those of trials that can no longer be chosen."""
        if self._spec.space is not None:  # trials that were listed explicitly are all kept
            self._outrank()
        self._settled = 0
        if self._rubbish:
            with suppress(Corrupt, Unavailable):  # a damaged version, whose files are unknown, ends no sweep
                garbage.discard(self._registry, self._rubbish, self._packaged)
                self._rubbish = set()
            self._undeleted = len(self._rubbish)  # they are deleted with the next ones

    def _next(self) -> tuple[int, list[int]] | None:
        if self.limit:
            return None
        if not self._queue and self._stale:
            self._fill()
            while not self._queue and not self._held and self._suggested():
                self._fill()
        if self._paced != self._field.paced:
            self._sort()
        return self._queue.popleft() if self._queue else None

    def _fill(self) -> None:
        due: dict[int, list[int]] = {}
        for number in self._field.due():
            due.setdefault(self._group[number], []).append(number)
        free = [(group, numbers) for group, numbers in due.items() if group not in self._held]
        self._queue.extend(free)
        self._sort()
        self._stale = False

    def _sort(self) -> None:
        """The longest first, so that workers end together, but before them what tells how long others will take.

        Results do not depend on the order.
        """
        self._queue = deque(sorted(self._queue, key=lambda waiting: -sum(map(self._field.left, waiting[1]))))
        self._paced = self._field.paced

    def _suggested(self) -> bool:
        """Add the next wave; returns whether there is one."""
        trials = self._trials()
        wave = search.suggest(self._spec, trials, self._misfit, self._sizes)
        if not wave:
            return False
        patient(lambda: ledger.add(self._registry, self._lease, wave, len(trials) + 1))
        added = self._trials()[len(trials) :]
        self._field.add(added)
        for suggestion in added:
            self._configs[suggestion.number], self._group[suggestion.number] = suggestion.config, suggestion.group
            if suggestion.confirms is not None:
                self._confirming.add(suggestion.number)
            self._groups.setdefault(suggestion.group, Group(suggestion.group, 0, None, None))
            if suggestion.status != "skipped":
                self._members.setdefault(suggestion.group, []).append(suggestion.number)
        return True

    def _trials(self) -> list[Trial]:
        return patient(lambda: ledger.trials(self._registry, self._lease.sweep))

    def _assigned(self, group: int, due: list[int], worker: str) -> Work:
        rungs = self._rungs(due)
        if 0 in rungs:
            due = [number for number in due if 0 in self._rungs([number])]  # a probe cannot be resumed
        attempt = patient(lambda: ledger.assign(self._registry, self._lease, group, due, worker))
        digest = self._groups[group].state
        state = None if digest is None else patient(lambda: self._state(digest))
        self._groups[group] = Group(group, attempt, worker, digest)
        self._held[group] = worker
        for number in due:
            self._field.standings[number].status = "running"
        standings = [self._field.standings[number] for number in self._members[group]]
        ended = {standing.number: max(standing.scores, default=0) for standing in standings if standing.ended}
        configs = {number: self._configs[number] for number in self._members[group]}
        return Work(group, attempt, configs, due, ended, rungs, state)

    def _state(self, digest: str) -> bytes | None:
        """A state of the store; None if it was deleted, as those of a sweep that was idle for long."""
        blobs = self._registry.blobs
        return blobs.get(digest) if blobs.holds(digest) else None

    def _rungs(self, due: list[int]) -> list[int]:
        """The next epochs after which any of these is compared."""
        after = {number: max(self._field.standings[number].scores, default=-1) for number in due}
        return sorted({rung for number, epoch in after.items() for rung in self._field.rungs(number, epoch)})

    def _beyond(self, result: Measured) -> bool:
        """Whether this is a report of a trial that has ended, which is ignored."""
        standing = self._field.standings[result.trial]
        return standing.ended and result.epoch > max(standing.scores, default=0)

    def _judged(self, result: Measured) -> tuple[str | None, Answer]:
        standing = self._field.standings[result.trial]
        if standing.ended:  # trained again together with others
            return None, "go on" if result.epoch < max(standing.scores, default=0) else "stop"
        answer = self._field.report(result.trial, result.epoch, result.metrics)
        if result.whole:
            return "finished", "stop"
        if answer == "go on" and self.limit:
            answer = "pause"
        return _STATUS[answer], answer

    def _enter(
        self, kept: Sequence[tuple[Measured, str | None]], attempt: tuple[int, int], state: bytes | None
    ) -> tuple[list[Change], str | None]:
        """Store files, then the rows that name them; returns these changes, and the digest of the state.

        Both have to be repeated if another sweep deletes one of the files in between.
        """
        files = [result.weights for result, _ in kept if result.weights is not None]
        files += [] if state is None else [state]
        digests = deque(self._registry.blobs.put_all(files) if files else [])
        changes = []
        for result, status in kept:
            report = Report(result.epoch, result.metrics, digests.popleft() if result.weights is not None else None)
            changes.append(Change(result.trial, status, report=report, exact=result.exact, counts=result.counts))
        digest = digests.popleft() if digests else None
        ledger.enter(self._registry, self._lease, changes, attempt, digest)
        return changes, digest

    def _note(self, change: Change) -> None:
        """Remember a recorded report."""
        standing = self._field.standings[change.trial]
        if change.status and not standing.ended:
            standing.status, self._stale = change.status, True
            self._settled += 1
        if change.report:
            self._spent += change.report.metrics.get("seconds", 0.0)
            self._supersede(self._keep(change.trial, change.report))

    def _keep(self, trial: int, report: Report) -> str | None:
        """Remember which weights are the best of a trial; returns the digest of those that are not needed any more.

        Epochs that are trained again, as those of a trial that ended before others of its group, replace nothing.
        """
        known = self._kept.get(trial)
        if report.checkpoint is None:
            return None
        if known is not None and report.epoch <= known.epoch:
            return None if report.checkpoint == known.checkpoint else report.checkpoint
        self._kept[trial] = report
        if self._spec.objective.metric in report.metrics:
            self._merits[trial] = self._spec.objective.merit(report.metrics)
        return None if known is None else known.checkpoint

    def _settle(self, group: int, state: str | None) -> None:
        """Update a group after some of its trials have left."""
        known = self._groups[group]
        if state is not None and state != known.state:
            self._supersede(known.state)
            self._groups[group] = Group(group, known.attempt, known.worker, state)
        if all(self._field.standings[member].status != "running" for member in self._members[group]):
            self._held.pop(group, None)
            self._deaths.pop(group, None)

    def _supersede(self, digest: str | None) -> None:
        if digest is not None:
            self._rubbish.add(digest)

    def _outrank(self) -> None:
        """Release the weights of trials that can no longer be chosen, and states that are no longer needed.

        Confirming trials are chosen by their mean, whatever their rank: they keep their weights, and displace no other
        trial.
        """
        standings = self._field.standings
        finished = {number for number, standing in standings.items() if standing.status == "finished"}
        outranked = ranks.outranked(self._merits, finished - self._confirming, self._field.behind()) - self._outranked
        constant = {number for number in finished if self._configs[number]["schedule"]["name"] == "constant"}
        over = (finished - constant) | self._outranked | outranked  # a constant rate allows more epochs
        groups = [
            group for group in self._groups.values() if group.state and over.issuperset(self._members[group.number])
        ]
        if not outranked and not groups:
            return
        numbers = [group.number for group in groups]
        patient(lambda: ledger.outrank(self._registry, self._lease, sorted(outranked), numbers))
        self._outranked |= outranked
        for number in outranked:
            self._supersede(self._kept[number].checkpoint)
        for group in groups:
            self._supersede(group.state)
            self._groups[group.number] = replace(group, state=None)

    def _die(self, group: int, problem: str) -> None:
        self._deaths[group] = self._deaths.get(group, 0) + 1
        if self._deaths[group] < DEATHS:
            return self._release(group)
        running = [member for member in self._members[group] if self._field.standings[member].status == "running"]
        return self.fail(group, self._groups[group].attempt, dict.fromkeys(running, problem))

    def _release(self, group: int) -> None:
        known = self._groups[group]
        patient(lambda: ledger.release(self._registry, self._lease, group, known.attempt))
        for number in self._members[group]:
            if self._field.standings[number].status == "running":
                self._field.standings[number].status = "interrupted"
        self._groups[group] = replace(known, attempt=known.attempt + 1, worker=None)
        self._held.pop(group, None)
        self._stale = True


def _place(worker: str) -> str:
    return worker.partition(".")[0]


_STATUS: dict[Answer, str | None] = {"go on": None, "pause": "paused", "stop": "stopped"}
