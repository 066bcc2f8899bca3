"""Made-up sweeps one after the other, each through faults and once without, over a database that holds rules."""

import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from registry import garbage, schema, transitions
from registry.core import Registry
from tailorbird.settings import Settings
from tests.tuning.simulated_specs import spec, with_epochs
from tests.tuning.simulation import KEPT, Sweep, World, shown
from tuning import book, patience, ranks
from tuning.book import Book

MEMORY = Path("/dev/shm")
MOVES = [f"'{before} {status}'" for before, after in transitions.AFTER.items() for status in after]
RULES = {
    "a status against the table": (
        f"UPDATE OF status ON trials WHEN OLD.status <> NEW.status "
        f"AND OLD.status || ' ' || NEW.status NOT IN ({', '.join(MOVES)})"
    ),
    "an attempt that does not rise": "UPDATE OF attempt ON groups WHEN NEW.attempt <= OLD.attempt",
    "a token that falls": "UPDATE OF token ON sweeps WHEN NEW.token < OLD.token",
    "another group": 'UPDATE OF "group" ON trials WHEN NEW."group" <> OLD."group"',
    "other figures": "UPDATE OF metrics ON reports",
    "a report that is deleted": "DELETE ON reports",
}
"""What the database refuses, whoever asks for it."""


@contextmanager
def simulator() -> Iterator[Callable[..., int]]:
    """Runs the sweep of a seed through faults and holds its table against the unbroken one's; counts refusals.

    Of a spec that is drawn by a seed of its own, the unbroken table is made once. A sweep that is made `longer` is one
    of a constant horizon at first.
    """
    world, tables = World(), {}

    def whole(chosen):
        key = chosen.model_dump_json()
        if key not in tables:
            tables[key] = Sweep(registry, chosen, world).run(f"whole-{len(tables)}", 1)
        return tables[key]

    def simulate(seed, drawn=None, opened=Book, longer=None):
        dice = random.Random(seed)
        chosen = spec(dice if drawn is None else random.Random(drawn))
        places, faults = dice.choice([1, 2, 4]), dice.choice([0.01, 0.04])
        if longer is not None:
            epochs, more = longer
            chosen = with_epochs(chosen, epochs)
        broken = Sweep(registry, chosen, world, faults, opened)
        try:
            assert broken.run(f"broken-{seed}", places, seed) == whole(chosen)
            if longer is not None:
                with unguarded(registry):
                    broken.lengthen(more)
                assert shown(broken.finish(places)) == shown(whole(with_epochs(chosen, epochs + more)))
        except AssertionError as violation:
            violation.add_note(f"of seed {seed}, spec {drawn}")
            raise
        return broken.refused

    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder,
        Registry(Settings(home=Path(folder), _env_file=None)) as registry,
    ):
        guard(registry)
        patch.setattr(schema, "now", world.now)
        patch.setattr(book, "time", world)
        patch.setattr(patience, "time", world)
        patch.setattr(book, "patient", world.patient)
        patch.setattr(registry.blobs, "put_all", world.exposed(registry.blobs.put_all))
        patch.setattr(garbage, "discard", world.exposed(garbage.discard))
        patch.setattr(ranks, "FINALISTS", KEPT)
        patch.setattr(book, "RUBBISH", 8)
        patch.setattr(book, "DEATHS", 1_000)  # none of these deaths is a trial's own doing
        yield simulate


def simulated(runs: Iterable[tuple[int, int]]) -> int:
    """Simulate sweeps in a process of their own, each by a seed for faults and one for its spec; counts refusals."""
    with simulator() as simulate:
        return sum(simulate(seed, drawn) for seed, drawn in runs)


def guard(registry):
    """Let the database refuse what breaks a rule."""
    with closing(sqlite3.connect(registry.database.path)) as connection:
        for number, (rule, change) in enumerate(RULES.items()):
            refusal = f"BEGIN SELECT RAISE(ABORT, '{rule}'); END"
            connection.execute(f"CREATE TRIGGER IF NOT EXISTS rule_{number} BEFORE {change} {refusal}")


@contextmanager
def unguarded(registry):
    """Without the first of the rules, which an extension may break, and nothing else."""
    with closing(sqlite3.connect(registry.database.path)) as connection:
        connection.execute("DROP TRIGGER rule_0")
    yield
    guard(registry)
