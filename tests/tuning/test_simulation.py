"""Made-up sweeps in which everything goes wrong end with the table of those in which nothing does."""

import random
import shutil
import tempfile
from pathlib import Path

import pytest

from registry import schema
from registry.core import Registry
from tailorbird.settings import Settings
from tests.tuning.simulation import KEPT, DriverDied, Sweep, World, spec
from tuning import book, patience, ranks
from tuning.book import Book

SWEEPS = 40
MEMORY = Path("/dev/shm")


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr(schema, "now", world.now)
    monkeypatch.setattr(book, "time", world)
    monkeypatch.setattr(patience, "time", world)
    monkeypatch.setattr(book, "patient", world.patient)
    monkeypatch.setattr(ranks, "FINALISTS", KEPT)
    monkeypatch.setattr(book, "RUBBISH", 8)
    monkeypatch.setattr(book, "DEATHS", 1_000)  # none of these deaths is a trial's own doing
    return world


@pytest.fixture
def simulate(world):
    """Runs the sweep of a seed through faults, and holds its table against the unbroken one's; counts refusals."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    tables = {}

    def run(seed, opened=Book):
        dice = random.Random(seed)
        chosen = spec(dice)
        key = chosen.model_dump_json()
        if key not in tables:
            tables[key] = Sweep(registry, chosen, world).run(f"whole-{seed}", 1)
        broken = Sweep(registry, chosen, world, dice.choice([0.01, 0.04]), opened)
        assert broken.run(f"broken-{seed}", dice.choice([1, 2, 4]), seed) == tables[key], f"seed {seed}"
        return broken.refused

    with Registry(Settings(home=folder, _env_file=None)) as registry:
        yield run
    shutil.rmtree(folder)


def test_no_fault_changes_the_table_and_nothing_stale_is_heard(simulate):
    assert sum(simulate(seed) for seed in range(SWEEPS)) > 0


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_ten_thousand_sweeps(simulate):
    assert sum(simulate(seed) for seed in range(10_000)) > 0


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
            raise DriverDied
        return super().work(worker)


def test_a_report_that_is_acknowledged_before_its_commit_is_noticed(simulate):
    with pytest.raises(AssertionError, match=r"the report of trial \d+, epoch \d+, is lost"):
        for seed in range(100):
            simulate(seed, Hasty)
