"""One worker's follower against a real registry; two followers in one folder are two workers of one server."""

import asyncio
import json
import os
import shutil
import threading

import pytest

from registry import aliases
from registry.core import Registry
from registry.databases import sqlite
from registry.requests import Promotion, Rollback
from serving import choice, fetches, follower
from serving.endpoint import Endpoint
from serving.follower import Follower
from serving.metrics import Metrics
from serving.routes import Routes
from tailorbird.settings import Settings
from tests.waiting import BOUND_SECONDS, wait_for


class Worker:
    """A worker process without its HTTP; `look` is its turn, at which it looks at the registry if it leads."""

    def __init__(self, settings, folder):
        self.endpoint = Endpoint(settings, Metrics(), folder)
        self.follower = Follower(self.endpoint)
        self.follower.start()

    def look(self):
        self.follower._next_look = 0
        self.follower._look_around()

    @property
    def number(self):
        return self.endpoint.served.version.number

    @property
    def state(self):
        return self.endpoint.state.read()

    @property
    def aliases(self):
        """What `GET /model` says of them."""
        return json.loads(asyncio.run(Routes(self.endpoint).model(None)).body)["aliases"]

    @property
    def challenger(self):
        predictor = self.endpoint.shadow.predictor
        return predictor and predictor.model.version.number

    def swaps(self, outcome):
        return self.endpoint.metrics.registry.get_sample_value("tailorbird_swaps_total", {"outcome": outcome}) or 0


@pytest.fixture
def own(tmp_path, register, toy):
    """A registry of demo:1 (champion), demo:2 and demo:3, which answer alike, and demo:4, whose classes are others."""
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files())
    for _ in range(2):
        register(settings, "demo", toy.files(), alias=None)
    register(settings, "demo", toy.make(classes=[name.upper() for name in toy.classes]).files(), alias=None)
    return settings


@pytest.fixture
def start(own, tmp_path):
    workers = []

    def run():
        workers.append(Worker(own, tmp_path))
        return workers[-1]

    yield run
    for worker in workers:
        worker.endpoint.close()


def promote(settings, number, alias="champion"):
    with Registry(settings) as registry:
        aliases.promote(registry, Promotion("demo", number, why="a test", who="tester", alias=alias, force=True))


def rollback(settings, to):
    with Registry(settings) as registry:
        aliases.rollback(registry, Rollback("demo", to=to, why="a test", who="tester"))


def damage(settings, word=b"MatMul"):
    shutil.rmtree(settings.cache, ignore_errors=True)
    for blob in settings.home.rglob("blobs/*/*"):
        if word in blob.read_bytes():
            blob.write_bytes(blob.read_bytes().replace(word, word[::-1]))


def test_follows_the_alias(own, start):
    worker = start()
    assert worker.number == 1
    promote(own, 2)
    worker.look()
    assert (worker.number, worker.swaps("swapped"), worker.state.stale) == (2, 1, None)
    rollback(own, 1)
    worker.look()
    assert (worker.number, worker.swaps("swapped")) == (1, 2)
    worker.look()
    assert worker.swaps("swapped") == 2


def test_all_workers_serve_what_the_server_serves(own, start):
    """Also one that starts between a move of the alias and the swap: it is a respawned one."""
    first, second = start(), start()
    promote(own, 2)
    third = start()
    assert [worker.number for worker in (first, second, third)] == [1, 1, 1]
    second.look()  # does not lead yet, nobody does: it is the first to look
    first.look()
    third.look()
    assert [worker.number for worker in (first, second, third)] == [2, 2, 2]
    assert [worker.swaps("swapped") for worker in (first, second, third)] == [0, 1, 0]
    second.endpoint.close()  # the leader ends
    promote(own, 3)
    first.look()
    third.look()
    assert (first.number, third.number) == (3, 3)


def test_another_signature_is_not_served(own, start):
    worker = start()
    promote(own, 4)
    for _ in range(2):
        worker.look()
        assert (worker.number, worker.swaps("failed")) == (1, 1)
    (failure,) = worker.state.failures
    assert failure.version.number == 4
    assert "other classes than the served version" in failure.problem
    promote(own, 2)
    worker.look()
    assert (worker.number, worker.state.failures) == (2, ())


def test_a_version_that_does_not_verify_is_not_served(own, start, register, toy):
    worker = start()
    register(own, "demo", toy.make(seed=9).files(), alias=None)
    promote(own, 5)
    damage(own)
    worker.look()
    assert (worker.number, worker.swaps("failed")) == (1, 1)
    assert "model.onnx" in worker.state.failures[0].problem


def test_without_the_registry_it_goes_on_and_says_so(own, start):
    worker = start()
    database = own.home / "tailorbird.db"
    worker.endpoint.registry.close()
    database.rename(own.home / "away")
    database.mkdir()
    worker.endpoint.registry._database = None
    worker.look()
    assert worker.number == 1
    assert "cannot be used" in worker.state.stale.problem
    since = worker.state.stale.since
    worker.look()
    assert worker.state.stale.since == since
    database.rmdir()
    (own.home / "away").rename(database)
    promote(own, 2)
    worker.look()
    assert (worker.number, worker.state.stale) == (2, None)


def test_a_registry_that_its_owner_alone_may_write_says_no_alias_that_is_not_so(own, start, monkeypatch):
    """Read-only, an SQLite file is not locked, so it cannot be read while writes lie beside it."""
    worker = start()
    with Registry(own) as owner:
        assert owner.database and worker.aliases == ["champion"]
        monkeypatch.setattr(sqlite, "writable", lambda _: False)
        worker.endpoint.registry.close()
        worker.endpoint.registry._database = None
        aliases.promote(owner, Promotion("demo", 2, why="a test", who="tester", force=True))
        worker.look()
        assert (worker.number, worker.aliases) == (1, None)
        assert "holds writes that are not in it yet" in worker.state.stale.problem
    worker.look()
    assert (worker.number, worker.aliases, worker.state.stale) == (2, ["champion"], None)


def test_a_store_that_is_away_is_asked_again(own, start):
    worker = start()
    shutil.rmtree(own.cache)
    store = own.home / "storage"
    store.rename(own.home / "away")
    store.write_text("no folder")
    promote_without_gates(own, 2)
    worker.look()
    assert worker.number == 1
    store.unlink()
    (own.home / "away").rename(store)
    worker.look()
    assert worker.number in (1, 2)


def promote_without_gates(settings, number):
    """Move the alias where the store cannot be read, which `promote` would refuse."""
    import sqlalchemy as sa

    with Registry(settings) as registry, registry.atomic() as connection:
        connection.execute(sa.text("UPDATE aliases SET number = :number WHERE model = 'demo'"), {"number": number})


def test_a_registry_that_hangs_holds_up_nothing(own, start, monkeypatch):
    worker, end = start(), threading.Event()
    monkeypatch.setattr(follower, "REGISTRY_SECONDS", 0.05)
    for _ in range(2):
        worker.endpoint.pools.registry.submit(lambda: end.wait(30))
    worker.look()
    end.set()
    assert worker.number == 1
    assert "no answer within 0.05 s" in worker.state.stale.problem


def test_a_package_that_never_comes_holds_up_no_other_version(own, start, register, toy, monkeypatch):
    worker = start()
    monkeypatch.setattr(fetches, "FETCH_SECONDS", 0.1)
    version = register(own, "demo", toy.files(), alias=None)
    (blob,) = own.home.rglob(f"storage/**/{version.manifest}")
    content = blob.read_bytes()
    blob.unlink()
    os.mkfifo(blob)
    promote_without_gates(own, version.number)
    worker.look()
    assert (worker.number, worker.swaps("unavailable")) == (1, 1)
    assert worker.state.stale.problem == "demo:5 cannot be fetched: it did not come within 0.1 s"
    monkeypatch.setattr(fetches, "FETCH_SECONDS", BOUND_SECONDS)
    promote_without_gates(own, 2)
    worker.look()
    assert (worker.number, worker.state.stale) == (2, None)
    promote_without_gates(own, version.number)
    with blob.open("wb") as late:  # it comes after all
        blob.unlink()
        blob.write_bytes(content)
        late.write(content)
    wait_for(lambda: worker.look() or worker.number == version.number)


def test_a_start_without_registry_and_store(own, start, tmp_path):
    start().endpoint.close()
    shutil.rmtree(own.home / "storage")
    (own.home / "tailorbird.db").unlink()
    (own.home / "tailorbird.db").mkdir()
    (tmp_path / "state.json").unlink()  # another server
    worker = start()
    assert worker.number == 1
    assert "cannot be used" in worker.state.stale.problem


def test_a_respawned_worker_asks_nobody(own, start, monkeypatch):
    start()
    monkeypatch.setattr(choice, "choose", lambda *_: pytest.fail("asked the registry"))
    (own.home / "tailorbird.db").unlink()
    assert start().number == 1


def test_a_challenger_is_chosen_by_its_alias(own, start):
    first, second = start(), start()
    promote(own, 2, alias="challenger")
    first.look()
    second.look()
    assert (first.challenger, second.challenger) == (2, 2)
    promote(own, 3, alias="challenger")
    first.look()
    assert first.challenger == 3
    promote(own, 4, alias="challenger")
    first.look()
    second.look()
    assert (first.challenger, second.challenger, first.number) == (None, None, 1)
    assert first.state.failures[0].version.number == 4
