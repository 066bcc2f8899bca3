"""Versions are swapped under load, with rollbacks among them and workers that die: no request fails, none is mixed."""

import time

import psutil
import pytest

from registry import aliases
from registry.core import Registry
from registry.requests import Promotion, Rollback
from tailorbird.settings import Settings
from tests.faults.serving.load import Load


@pytest.fixture
def own(tmp_path, register, toy) -> Settings:
    """A registry of demo:1 (champion) and demo:2."""
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files())
    register(settings, "demo", toy.files(), alias=None)
    return settings


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def served(server) -> set[int]:
    """The versions that answer, asked over many new connections."""
    return {server.client.get("/readyz").json()["version"] for _ in range(8)}


def workers(server) -> list[psutil.Process]:
    alive = [child for child in psutil.Process(server.process.pid).children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "worker" in " ".join(child.cmdline())]


def swap(settings, number):
    with Registry(settings) as registry:
        if number == 1:
            aliases.rollback(registry, Rollback("demo", to=1, why="a test", who="tester"))
        else:
            aliases.promote(registry, Promotion("demo", number, why="a test", who="tester", force=True))


def swap_under_load(start, own, count, processes, kill_at=()):
    server = start(own, workers=processes).wait()
    with Load(server.url) as load:
        for turn in range(count):
            number = 2 - turn % 2
            if turn in kill_at:
                workers(server)[0].kill()
            swap(own, number)
            wait_for(lambda number=number: served(server) == {number})
    assert server.stop() == 0
    return load


def check(load):
    assert {status for status, _ in load.answers} == {200}
    assert {version for _, version in load.answers} == {1, 2}
    assert load.total > 100


@pytest.mark.parametrize("processes", [1, 2])
def test_swaps_lose_nothing(start, own, processes):
    load = swap_under_load(start, own, 4, processes)
    check(load)
    assert load.lost == []


def test_a_worker_that_dies_takes_only_what_it_had_in_hand(start, own):
    load = swap_under_load(start, own, 4, 2, kill_at=[1])
    check(load)
    assert len(load.lost) <= load.clients


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_a_hundred_swaps(start, own, processes):
    load = swap_under_load(start, own, 100, processes)
    check(load)
    assert load.lost == []
