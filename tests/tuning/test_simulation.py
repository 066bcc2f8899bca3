"""Made-up sweeps that die again and again end with the table of those that do not."""

import random

import pytest

from registry import schema
from registry.core import Registry
from tests.tuning.simulation import Clock, Died, Sweep, spec
from tuning import book
from tuning.book import Book

SWEEPS = 150


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(schema, "now", made.now)
    monkeypatch.setattr(book, "time", made)
    return made


@pytest.fixture
def registry(settings):
    with Registry(settings) as opened:
        yield opened


def simulate(registry, clock, seed, made=Book):
    dice = random.Random(seed)
    chosen = spec(dice)
    unbroken = Sweep(registry, chosen, random.Random(seed), 0.0, clock).run(f"whole-{seed}", 1)
    broken = Sweep(registry, chosen, random.Random(seed), dice.choice([0.02, 0.1]), clock, book=made)
    assert broken.run(f"broken-{seed}", dice.choice([1, 2, 4])) == unbroken, f"seed {seed}"
    return broken.refused


def test_no_death_changes_the_table_and_no_stale_writer_is_heard(registry, clock):
    assert sum(simulate(registry, clock, seed) for seed in range(SWEEPS)) > 0


@pytest.mark.long
def test_ten_thousand_sweeps(registry, clock):
    for seed in range(10_000):
        simulate(registry, clock, seed)


class Hasty(Book):
    """A planted fault: now and then it acknowledges a report and dies before that is committed."""

    dice = random.Random(0)

    def report(self, group, attempt, measured, state):
        if self.dice.random() < 0.02:
            self._enter = self._die_first
        return super().report(group, attempt, measured, state)

    def _die_first(self, *_):
        """Without a commit."""

    def work(self, worker):
        if "_enter" in vars(self):
            raise Died
        return super().work(worker)


def test_a_report_that_is_acknowledged_before_its_commit_is_noticed(registry, clock):
    with pytest.raises(AssertionError, match=r"the report of trial \d+, epoch \d+, is lost"):
        for seed in range(SWEEPS):
            simulate(registry, clock, seed, Hasty)
