"""Made-up sweeps in which everything goes wrong end with the table of those in which nothing does."""

import multiprocessing
import random
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from itertools import product

import pytest

from registry import leases
from registry.core import Registry
from registry.ledger import Report
from tests import sweeps
from tests.tuning import simulator
from tests.tuning.simulation import DriverDied
from tuning import spec as specs
from tuning.book import Book

COURSES = 25
"""How often a sweep of each spec meets other faults."""
HORIZONS = [(2, 2), (3, 3), (4, 8)]
"""The epochs of a sweep at first, and how many more it is given then; some are rungs of the longer one."""
BATCH = 10
"""Specs that one process has at a time."""


@pytest.fixture
def simulate():
    with simulator.simulator() as simulate:
        yield simulate


def test_no_fault_changes_the_table_and_nothing_stale_is_heard(simulate):
    assert sum(simulate(COURSES * drawn + course, drawn) for drawn, course in product(range(8), range(COURSES))) > 0


@pytest.mark.parametrize("longer", HORIZONS)
def test_a_sweep_that_is_made_longer_through_faults_comes_to_the_table_of_one_that_was_long_from_the_start(
    simulate, longer
):
    for drawn in range(8):
        simulate(drawn, drawn, longer=longer)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("longer", HORIZONS)
def test_many_sweeps_that_are_made_longer_come_to_the_same(simulate, longer):
    for seed, (drawn, _) in enumerate(product(range(8, 108), range(5))):
        simulate(seed, drawn, longer=longer)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("runs", [10_000])
def test_in_none_of_many_sweeps_is_a_promise_broken(runs):
    batches = [
        [(COURSES * drawn + course, drawn) for drawn in range(first, first + BATCH) for course in range(COURSES)]
        for first in range(0, runs // COURSES, BATCH)
    ]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        assert all(refused > 0 for refused in pool.map(simulator.simulated, batches))


class Hasty(Book):
    """A planted fault: now and then it acknowledges a report and dies before that is committed."""

    dice = random.Random(0)

    def report(self, group, attempt, measured, state):
        if self.dice.random() < 0.02:
            self._enter = self._die_first
        return super().report(group, attempt, measured, state)

    def _die_first(self, *_):
        """Without a commit."""
        return [], None

    def work(self, worker):
        if "_enter" in vars(self):
            raise DriverDied
        return super().work(worker)


def test_a_report_that_is_acknowledged_before_its_commit_is_noticed(simulate):
    with pytest.raises(AssertionError, match=r"the report of trial \d+, epoch \d+, is lost"):
        for seed in range(100):
            simulate(seed, opened=Hasty)


def test_a_write_of_a_driver_that_was_replaced_is_noticed(simulate, monkeypatch):
    @contextmanager
    def unfenced(registry, lease, *locks, **_):
        with registry.atomic(*locks) as connection:
            yield connection

    monkeypatch.setattr(leases, "writing", unfenced)
    heard = "what was replaced is heard|DID NOT RAISE .*LeaseLost"
    with pytest.raises((AssertionError, pytest.fail.Exception), match=heard):
        for seed in range(100):
            simulate(seed)


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        ("a status against the table", "UPDATE trials SET status = 'finished'"),
        ("an attempt that does not rise", "UPDATE groups SET attempt = 0"),
        ("a token that falls", "UPDATE sweeps SET token = 0"),
        ("another group", 'UPDATE trials SET "group" = 2 WHERE number = 1'),
        ("other figures", "UPDATE reports SET metrics = '{}'"),
        ("a report that is deleted", "DELETE FROM reports"),
    ],
)
def test_what_breaks_a_rule_is_refused(settings, raw_spec, rule, statement):
    with Registry(settings) as registry:
        spec = specs.parse(raw_spec)
        plain = [config.model_dump(mode="json") for config in spec.configs]
        sweeps.begin(registry, "tiny-1", spec.plain(), plain)
        sweeps.report(registry, "tiny-1", 1, Report(1, {"val_accuracy": 0.5}))
        simulator.guard(registry)
        with (
            closing(sqlite3.connect(registry.database.path)) as connection,
            pytest.raises(sqlite3.IntegrityError, match=rule),
        ):
            connection.execute(statement)
