"""Made-up sweeps over the real book and ledger: a virtual clock, a formula as trainable, deaths at random moments."""

import hashlib
import json
import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from registry import leases, ledger, schema
from registry.core import Registry
from tailorbird.errors import LeaseLost, TailorbirdError
from tuning import search
from tuning import spec as specs
from tuning.book import Book, Measured

LEASE = 60


class Died(Exception):
    """The process of a driver or worker was killed."""


@dataclass
class Clock:
    """Time that passes when it is told to; the ledger's own."""

    moment: datetime = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self):
        self.moment += timedelta(milliseconds=1)
        return schema.timestamp(self.moment)

    def monotonic(self):
        return self.moment.timestamp()

    def sleep(self, seconds):
        self.moment += timedelta(seconds=seconds)


def scores(config, epochs):
    """A made-up learning curve: a function of the config alone."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).digest()
    top, pace = 0.5 + digest[0] / 512, 0.2 + digest[1] / 256
    return [round(top * (1 - math.exp(-pace * epoch)), 6) for epoch in range(1, epochs + 1)]


@dataclass
class Place:
    """A worker: what it has of a group, as `Session` would train it."""

    name: str
    work: object = None
    epoch: dict[int, int] = field(default_factory=dict)

    def begin(self, work):
        self.work = work
        state = {int(key): value for key, value in json.loads(work.state).items()} if work.state else {}
        self.epoch = {}
        for number in work.configs:
            trained = state.get(number, 0)
            if number in work.due or work.ended.get(number, 0) > trained:
                self.epoch[number] = trained
        self.resting = {number: epoch for number, epoch in state.items() if number not in self.epoch}

    def step(self, dice):
        if self.work.until == 0:
            probed = {
                number: {"val_accuracy": scores(config, 1)[0] / 4} for number, config in self.work.configs.items()
            }
            return [Measured(number, 0, probed[number], b"%d/0" % number) for number in self.epoch], None
        measured = []
        for number in self.epoch:
            self.epoch[number] += 1
            config, epoch = self.work.configs[number], self.epoch[number]
            curve = scores(config, config["epochs"])
            best = curve[epoch - 1] > max(curve[: epoch - 1], default=-1)
            weights = f"{number}/{epoch}".encode() if best else None
            metrics = {"val_accuracy": curve[epoch - 1], "seconds": dice.random()}
            measured.append(Measured(number, epoch, metrics, weights, epoch == config["epochs"]))
        whole = {one.trial for one in measured if one.whole}
        due = self.work.until in self.epoch.values() or dice.random() < 0.3
        state = json.dumps(self.resting | self.epoch).encode() if due and whole != self.epoch.keys() else None
        return measured, state

    def obey(self, answers):
        for number, answer in answers.items():
            if self.work.until == 0:
                self.epoch.pop(number)
            elif answer != "go on":
                self.resting[number] = self.epoch.pop(number)


@dataclass
class Sweep:
    """One sweep of a spec that is driven to its end through deaths; `table` is what comes out."""

    registry: Registry
    spec: specs.SweepSpec
    dice: random.Random
    deaths: float
    clock: Clock
    acknowledged: dict = field(default_factory=dict)
    refused: int = 0
    book: type = Book

    def run(self, name, places):
        lease = ledger.begin(
            self.registry, name, self.spec.model_dump(mode="json", exclude_none=True),
            search.suggest(self.spec, [], lambda _: None), None, "ada", seconds=LEASE,
        )  # fmt: skip
        stale = []
        while True:
            try:
                self.drive(lease, [Place(f"{place}.{self.dice.random()}") for place in range(places)], stale)
                break
            except Died:  # the next driver takes over, now or later, while the old writer may still be alive
                stale.append((self.written, lease))
                self.clock.sleep(LEASE + 1)
                lease = leases.take(self.registry, name, LEASE)
                self.check(name)
        ledger.end(self.registry, lease, "finished")
        return self.table(name)

    def drive(self, lease, places, stale):
        book = self.book(self.registry, lease, self.spec)
        self.written = (book, places)
        idle = set()
        while len(idle) < len(places):
            place = self.dice.choice(places)
            if stale and self.dice.random() < 0.2:
                self.wake(*stale.pop())
            if self.dice.random() < self.deaths:
                self.die(book, place)
            if place.work is None:
                work = book.work(place.name)
                if work == "done":
                    idle.add(place.name)
                elif work != "wait":
                    place.begin(work)
                continue
            measured, state = place.step(self.dice)
            answers = book.report(place.work.group, place.work.attempt, measured, state)
            for one in measured:
                if one.epoch <= place.work.configs[one.trial]["epochs"]:
                    self.acknowledged[one.trial, one.epoch] = one.metrics["val_accuracy"]
            place.obey(answers)
            if not place.epoch:
                place.work = None

    def die(self, book, place):
        kind = self.dice.choice(("driver", "worker", "writer"))
        if kind == "driver":
            raise Died
        if kind == "worker":
            place.work, place.epoch = None, {}
            if self.dice.random() < 0.5:
                book.lost(place.name.partition(".")[0], "killed")
            place.name = f"{place.name.partition('.')[0]}.{self.dice.random()}"
        else:
            book.__init__(self.registry, book._lease, self.spec)

    def wake(self, written, lease):
        """What was paused past its lease goes on where it was: all of it must be refused."""
        book, places = written
        for place in places:
            try:
                if place.work is None:
                    book.work(place.name)
                else:
                    book.report(place.work.group, place.work.attempt, *place.step(self.dice))
            except (LeaseLost, TailorbirdError):
                self.refused += 1

    def check(self, name):
        """What was acknowledged is in the ledger."""
        trials = ledger.trials(self.registry, name)
        for (trial, epoch), value in self.acknowledged.items():
            kept = {report.epoch: report.metrics["val_accuracy"] for report in trials[trial - 1].reports}
            assert kept.get(epoch) == value, f"the report of trial {trial}, epoch {epoch}, is lost"

    def table(self, name):
        self.check(name)
        return [
            (one.number, one.status, one.config, one.basis, one.group, _curve(one))
            for one in ledger.trials(self.registry, name)
        ]


def _curve(trial):
    return [(report.epoch, report.metrics["val_accuracy"]) for report in trial.reports]


def spec(dice):
    """A small sweep of some search, scheduler and size."""
    chosen = dice.choice(["random", "random", "grid", "tpe"])
    given = {
        "name": "made-up",
        "data": {"name": "digits", "validation": 0.2, "holdout": 0.2},
        "run": {"model": {"family": dice.choice(["mlp", "linear"])}},
        "space": {
            "optimizer.lr": {"uniform": [0.1, 1.0], "step": 0.1},
            "batch_size": {"choice": [16, 64]},
            "epochs": {"choice": dice.choice([[4], [2, 5], [10]])},
        },
        "search": chosen,
        "scheduler": dice.choice(["halving", "halving", "halving", "none"]),
        "probe": dice.random() < 0.5,
        "seed": dice.randrange(10),
        "lanes": dice.choice([1, 3, 8]),
    }
    if chosen == "grid":
        given["space"]["optimizer.lr"] = {"choice": [0.1, 0.3]}
    else:
        given["trials"] = dice.choice([3, 6, 10])
    return specs.parse(given)
