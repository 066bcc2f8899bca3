"""Made-up sweeps over the real book and ledger: a virtual clock, a formula as trainable, faults at random moments."""

import hashlib
import json
import math
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from registry import leases, ledger, schema
from registry.core import Registry
from tailorbird.errors import LeaseLost, Unavailable
from tuning import extension, outcome, patience, search
from tuning import spec as specs
from tuning.book import Book
from tuning.field import Field
from tuning.work import Measured

LEASE = 60
KEPT = 2


class DriverDied(Exception):
    """The process of a driver was killed, and what ran for it with it."""


class WriterDied(Exception):
    """The process that writes the ledger was killed, and Ray starts it again."""


class WorkerDied(Exception):
    """The process of a worker was killed, before it asked for something or before it was answered."""


class WorkerCut(Exception):
    """A worker is taken for dead, and lives."""


@dataclass
class World:
    """Time that passes when it is told to, and what goes wrong: so often an act is met by a fault."""

    dice: random.Random = field(default_factory=random.Random)
    faults: float = 0.0
    moment: datetime = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self):
        self.moment += timedelta(milliseconds=1)
        return schema.timestamp(self.moment)

    def monotonic(self):
        return self.moment.timestamp()

    def sleep(self, seconds):
        self.moment += timedelta(seconds=seconds)

    def patient(self, act):
        """An act on the ledger or the store, which may go wrong before it is done, and after."""
        return patience.patient(self.exposed(act))

    def exposed(self, act):
        def exposed(*arguments):
            self.strike(DriverDied, WriterDied, Unavailable)
            outcome = act(*arguments)
            self.strike(DriverDied, WriterDied, Unavailable)
            return outcome

        return exposed

    def strike(self, *kinds):
        if self.dice.random() < self.faults:
            raise self.dice.choice(kinds)


def scores(config, epochs):
    """A made-up learning curve: a function of the config alone, and at a constant rate not of its epochs.

    It rises, but for every third epoch, so that the best epoch is often not the last.
    """
    drawn = _drawn(config)
    top, pace, low = 0.5 + drawn[0] / 512, 0.2 + drawn[1] / 256, drawn[2] % 3
    rising = [top * (1 - math.exp(-pace * epoch)) for epoch in range(1, epochs + 1)]
    return [round(score - 0.2 * (epoch % 3 == low), 6) for epoch, score in enumerate(rising, 1)]


def failing(config):
    """The epoch in which a trial fails; 0 for most, which do not."""
    drawn = _drawn(config)
    return 1 + drawn[4] % 4 if drawn[3] < 50 else 0


def _drawn(config):
    return hashlib.sha256(json.dumps({**config, "epochs": 0}, sort_keys=True).encode()).digest()


@dataclass
class Place:
    """A worker: what it has of a group, as `Session` would train it."""

    name: str
    sweep: str
    work: object = None
    epoch: dict[int, int] = field(default_factory=dict)

    def begin(self, work):
        self.work = work
        stored = json.loads(work.state.partition(b" ")[2]) if work.state else {}
        state = {int(key): value for key, value in stored.items()}
        self.epoch = {}
        for number in work.configs:
            trained = state.get(number, 0)
            if number in work.due or work.ended.get(number, 0) > trained:
                self.epoch[number] = trained
        self.resting = {number: epoch for number, epoch in state.items() if number not in self.epoch}

    def step(self, dice):
        """What is measured next, which trials fail, and the state, if it is due."""
        if 0 in self.work.rungs:
            return [self.probed(number) for number in self.epoch], {}, None
        measured, problems = [], {}
        for number, trained in list(self.epoch.items()):
            config = self.work.configs[number]
            epoch = min(trained + config["measure_every"], config["epochs"])
            if trained < failing(config) <= epoch:
                problems[number] = f"fails in epoch {failing(config)}"
                self.resting[number] = self.epoch.pop(number)
                continue
            self.epoch[number] = epoch
            measured.append(self.measured(number, epoch, dice.random()))
        due = not {*self.work.rungs}.isdisjoint(self.epoch.values()) or dice.random() < 0.3
        self.resting |= {result.trial: self.epoch.pop(result.trial) for result in measured if result.whole}
        state = f"{self.sweep} {json.dumps(self.resting | self.epoch)}".encode() if due and self.epoch else None
        return measured, problems, state

    def measured(self, number, epoch, seconds):
        config = self.work.configs[number]
        curve = scores(config, epoch)
        before = curve[config["measure_every"] - 1 : epoch - 1 : config["measure_every"]]
        weights = f"{self.sweep}/{number}/{epoch}".encode() if curve[-1] > max(before, default=-1) else None
        metrics = {"val_accuracy": curve[-1], "seconds": seconds}
        return Measured(number, epoch, metrics, weights, epoch == config["epochs"])

    def probed(self, number):
        metrics = {"val_accuracy": scores(self.work.configs[number], 1)[0] / 4}
        return Measured(number, 0, metrics, f"{self.sweep}/{number}/0".encode())

    def obey(self, answers):
        for number, answer in answers.items():
            if 0 in self.work.rungs:
                del self.epoch[number]
            elif answer != "go on" and number in self.epoch:
                self.resting[number] = self.epoch.pop(number)
        if not self.epoch:
            self.work = None


@dataclass
class Sweep:
    """One sweep of a spec that is driven to its end through faults; `run` gives its table."""

    registry: Registry
    spec: specs.SweepSpec
    world: World
    faults: float = 0.0
    opened: Callable[..., Book] = Book
    acknowledged: dict = field(default_factory=dict)
    refused: int = 0
    lengthened: bool = False

    def run(self, name, places, seed=0):
        self.world.dice, self.world.faults = random.Random(seed), self.faults
        self.dice, self.stale = self.world.dice, []
        self.lease = ledger.begin(
            self.registry, name, self.spec.model_dump(mode="json", exclude_none=True),
            search.suggest(self.spec, [], lambda _: None), None, "ada", seconds=LEASE,
        )  # fmt: skip
        return self.finish(places)

    def lengthen(self, count):
        """Let it have more epochs, after its end; `finish` trains them through the same faults."""
        self.lengthened = True
        extension.lengthen(self.registry, self.lease.sweep, count, LEASE, "ada")
        self.spec = specs.stored(ledger.sweep(self.registry, self.lease.sweep).spec)
        self.lease = leases.take(self.registry, self.lease.sweep, LEASE, "ada")

    def finish(self, places):
        while True:
            self.open()
            self.places = [self.place(number) for number in range(places)]
            try:
                self.drive()
                self.ask("tidy")
                break
            except DriverDied:  # or it is paused past its lease, and all of its processes wake up later
                self.stale.append((self.lease, self.book, self.places))
                self.world.sleep(LEASE + 1)
                self.lease = leases.take(self.registry, self.lease.sweep, LEASE, "ada")
                self.check()
        ledger.end(self.registry, self.lease, "finished")
        self.check()
        self.check_ends()
        self.check_files()
        return table(self.registry, self.lease.sweep)

    def open(self):
        self.book = self.opened(self.registry, self.lease, self.spec)

    def place(self, number):
        return Place(f"{number}.{self.dice.random()}", self.lease.sweep)

    def drive(self):
        idle = set()
        while len(idle) < len(self.places):
            if self.stale and self.dice.random() < 0.2:
                self.wake(*self.stale.pop())
            number = self.dice.randrange(len(self.places))
            try:
                if not self.turn(self.places[number]):
                    idle.add(number)
            except WorkerDied:
                self.lose(number)
            except WorkerCut:
                self.stale.append((self.lease, self.book, [self.places[number]]))
                self.lose(number)
            except LeaseLost:  # its group was given to another one
                self.places[number] = Place(self.places[number].name, self.lease.sweep)

    def turn(self, place):
        """What a worker does next; whether there is something left to do."""
        if place.work is None:
            work = self.ask("work", place.name)
            self.world.strike(WorkerDied, WorkerCut)
            if work not in ("wait", "done"):
                place.begin(work)
            return work != "done"
        self.world.strike(WorkerDied, WorkerCut)
        measured, problems, state = place.step(self.dice)
        if problems:
            self.ask("fail", place.work.group, place.work.attempt, problems)
            self.world.strike(WorkerDied)  # one that lives would report next what it has trained
        answers = self.ask("report", place.work.group, place.work.attempt, measured, state) if measured else {}
        for result in measured:
            if result.epoch <= place.work.configs[result.trial]["epochs"]:
                self.acknowledged[result.trial, result.epoch] = result.metrics["val_accuracy"]
        self.world.strike(WorkerDied)
        place.obey(answers)
        self.world.strike(WorkerDied, WorkerCut)
        return True

    def ask(self, method, *arguments):
        """Ask the writer, as often as it dies."""
        while True:
            try:
                return getattr(self.book, method)(*arguments)
            except WriterDied:
                self.open()

    def lose(self, number):
        """Ray starts another worker in the place of one, and tells it sooner or later."""
        if self.dice.random() < 0.5:
            self.ask("lost", str(number), "killed")
        self.places[number] = self.place(number)

    def wake(self, lease, book, places):
        """What was taken for dead goes on where it was, and is refused."""
        if lease == self.lease:
            return self.haunt(*places)
        self.world.faults = 0.0
        for place in places:
            if place.work is not None and place.epoch:
                measured, _, state = place.step(self.dice)
                with pytest.raises(LeaseLost):
                    book.report(place.work.group, place.work.attempt, measured, state)
                self.refused += 1
            with suppress(LeaseLost):  # or there is nothing to be had
                assert book.work(place.name) in ("wait", "done"), "what was replaced is heard"
        self.world.faults = self.faults
        return None

    def haunt(self, place):
        """A worker that was cut off is back beside the one in its place."""
        try:
            if self.turn(place):
                self.stale.append((self.lease, self.book, [place]))
        except LeaseLost:
            self.refused += 1
        except (WorkerDied, WorkerCut):
            return

    def check(self):
        """What was acknowledged is in the ledger."""
        trials = ledger.trials(self.registry, self.lease.sweep)
        for (trial, epoch), value in self.acknowledged.items():
            kept = {report.epoch: report.metrics["val_accuracy"] for report in trials[trial - 1].reports}
            assert kept.get(epoch) == value, f"the report of trial {trial}, epoch {epoch}, is lost"

    def check_ends(self):
        """Every trial has finished or failed, or lost at a rung."""
        trials = ledger.trials(self.registry, self.lease.sweep)
        left = {trial.number: trial.status for trial in trials if trial.status not in ("finished", "failed")}
        assert set(left) == set(Field(self.spec, trials).behind()), f"trials wait for ever: {left}"

    def check_files(self):
        """Of the finished trials the best are kept, and of those that were left behind; and all that confirm others.

        Of a longer sweep a trial may be behind that was finished, and was not among the best of these.
        """
        trials = ledger.trials(self.registry, self.lease.sweep)
        ranked = outcome.rank(trials, self.spec.objective)
        for status in ("finished",) if self.lengthened else ("finished", "paused"):
            searched = [trial for trial in ranked if trial.trial.status == status and trial.trial.confirms is None]
            assert [trial.trial.outranked for trial in searched] == [rank >= KEPT for rank in range(len(searched))]
        assert not any(trial.outranked for trial in trials if trial.confirms is not None)
        assert self.registry.blobs.holds(
            *(candidate.best.checkpoint for candidate in ranked if not candidate.trial.outranked)
        )


def table(registry, name):
    return [
        (trial.number, trial.status, trial.config, trial.basis, trial.group, trial.outranked, _curve(trial))
        for trial in ledger.trials(registry, name)
    ]


def shown(rows):
    """The rows of a table without whether weights are kept."""
    return [(*row[:5], row[6]) for row in rows]


def _curve(trial):
    return [(report.epoch, report.metrics["val_accuracy"], report.checkpoint is not None) for report in trial.reports]
