"""Whatever is cut at whichever step, the registry's promises hold afterwards."""

import itertools
import multiprocessing
import signal
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry import aliases, garbage, history, schema, verification, versions
from registry.core import Registry
from registry.exchange import carrying
from registry.requests import Promotion, Rollback
from tailorbird.errors import TailorbirdError
from tests import steps, stores

PROCESSES = multiprocessing.get_context("fork")
WHO = {"why": "because", "who": "ada"}
NOW = timedelta(0)


class Actions:
    """What is cut. `arrange` makes room for an action and `act` does it; both get the number of the step."""

    def __init__(self, register, package: Path) -> None:
        self.add = register
        self.package = package

    def arrange_register(self, registry, n):
        pass

    def act_register(self, registry, n):
        return "version", str(self.add(registry, weights=b"cut at %d" % n))

    def arrange_promote(self, registry, n):
        pass

    def act_promote(self, registry, n):
        elsewhere = 2 if aliases.current(registry, "fashion") == 3 else 3
        return "move", aliases.promote(registry, Promotion("fashion", elsewhere, **WHO)).id

    def arrange_rollback(self, registry, n):
        for number in (1, 2):
            if aliases.current(registry, "fashion") != number:
                aliases.promote(registry, Promotion("fashion", number, **WHO))

    def act_rollback(self, registry, n):
        return "move", aliases.rollback(registry, Rollback("fashion", **WHO)).id

    def arrange_delete(self, registry, n):
        self.add(registry, weights=b"to delete %d" % n)

    def act_delete(self, registry, n):
        number = newest(registry)
        versions.delete(registry, "fashion", number, **WHO)
        return "deleted", f"fashion:{number}"

    def arrange_import(self, registry, n):
        pass

    def act_import(self, registry, n):
        return "version", str(carrying.import_version(registry, self.package, "ada", "carried"))

    def arrange_gc(self, registry, n):
        self.add(registry, weights=b"garbage %d" % n)
        versions.delete(registry, "fashion", newest(registry), **WHO)

    def act_gc(self, registry, n):
        garbage.collect(registry, age=NOW)
        return "collected", None


ACTIONS = ("register", "promote", "rollback", "delete", "import", "gc")


@pytest.fixture
def shared_storage(request):
    return stores.storage("s3", request)


@pytest.fixture
def actions(settings, register, tmp_path):
    """A registry with a champion that could be rolled back, and a package to import."""
    with Registry(settings) as registry:
        for n in range(3):
            register(registry, weights=b"version %d" % n)
        for number in (1, 2):
            aliases.promote(registry, Promotion("fashion", number, **WHO))
        package = carrying.export(registry, versions.resolve(registry, "fashion:1"), tmp_path / "package")
    return Actions(register, package)


def newest(registry):
    return versions.page(registry, "fashion", limit=1)[0].number


def visible(registry):
    """Versions, and moves of aliases by model."""
    seen = {str(version) for version in versions.every(registry)}
    models = {name.partition(":")[0] for name in seen}
    return seen, {(model, move.id) for model in models for move in history.moves(registry, model, limit=10_000)}


def promises_hold(registry):
    """Promises 1, 2 and 7, read from the registry as it is; returns what is `visible`."""
    seen = list(versions.every(registry))
    for version in seen:
        assert verification.verify(registry, version) == [], version
    for model in {version.model for version in seen}:
        log = history.moves(registry, model, limit=10_000)
        for alias in {move.alias for move in log}:
            mine = [move for move in log if move.alias == alias]
            assert aliases.current(registry, model, alias) == mine[0].to_number
            for later, earlier in itertools.pairwise(mine):
                assert later.from_number == earlier.to_number
            assert mine[-1].from_number is None
        with registry.reading() as connection:
            needed = set(history.needed(connection, model))
        assert needed <= {version.number for version in seen if version.model == model}
        assert all(move.gates and move.from_number != move.to_number for move in log)
    with registry.reading() as connection:
        judged = connection.scalars(sa.select(schema.verdicts.c.id)).all()
        named = connection.scalars(sa.select(schema.moves.c.verdict)).all()
        last = dict(connection.execute(sa.select(schema.models.c.name, schema.models.c.last_number)).all())
    assert len(named) == len(set(named)) and set(named) <= set(judged)
    for version in seen:
        assert version.number <= last[version.model]
    return visible(registry)


def run(action, settings, n, cut, below):
    """The action in a process of its own; returns how many steps it took, its error, and what it acknowledged."""
    reader, writer = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_run, args=(action, settings, n, cut, below, writer))
    process.start()
    writer.close()
    process.join()
    with reader:
        if process.exitcode == -signal.SIGKILL:
            return n, None, None
        assert process.exitcode == 0, "the action failed by itself"
        return reader.recv()


def _run(action, settings, n, cut, below, writer):
    taken = cut(n, below)
    error = acknowledged = None
    try:
        with Registry(settings) as registry:
            acknowledged = action(registry, n)
    except TailorbirdError as message:
        error = str(message)
    writer.send((taken(), error, acknowledged))


@pytest.fixture(params=["some", pytest.param("all", marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def every(request, settings):
    """How many steps from one that is cut to the next."""
    if request.param == "all":
        return 1
    return 13 if settings.database_url == "" else 61  # a server takes longer


@pytest.mark.parametrize("cut", [steps.kill_at, steps.fail_at], ids=["killed", "failed"])
@pytest.mark.parametrize("name", ACTIONS)
def test_what_is_cut_at_any_step_keeps_every_promise(settings, actions, tmp_path, name, cut, every):
    arrange, act = getattr(actions, f"arrange_{name}"), getattr(actions, f"act_{name}")
    cuts = 0
    for n in itertools.count(1, every):
        with Registry(settings) as registry:
            arrange(registry, n)
            before = visible(registry)
        taken, error, acknowledged = run(act, settings, n, cut, tmp_path)
        was_cut = taken >= n
        with Registry(settings) as registry:
            after = promises_hold(registry)
        if error is not None:
            assert was_cut, error
            assert len(after[0] ^ before[0]) + len(after[1] ^ before[1]) <= 1
        if acknowledged is not None:
            kind, what = acknowledged
            assert (what in after[0]) == (kind == "version")
            assert (what in {number for _, number in after[1]}) == (kind == "move")
        if not was_cut:
            break
        cuts += 1
    assert cuts >= (1 if every > 1 else 10)
    if acknowledged is not None and acknowledged[0] == "move":  # what stores or removes blobs finds folders or not
        assert taken >= n - every, "the last step of a move was not cut"
    with Registry(settings) as registry:  # and nothing is in the way of those who come after
        for other in (name, "promote"):
            getattr(actions, f"arrange_{other}")(registry, 0)
            getattr(actions, f"act_{other}")(registry, 0)
        promises_hold(registry)
