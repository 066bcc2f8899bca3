"""Versions are swapped under load, with rollbacks among them and workers that die: no request fails, none is mixed."""

import json
from collections import Counter

import psutil
import pytest
from prometheus_client.mmap_dict import MmapedDict

from registry import aliases
from registry.core import Registry
from registry.requests import Promotion, Rollback
from tailorbird.settings import Settings
from tests.faults.serving.load import Load
from tests.waiting import wait_for


@pytest.fixture
def own(tmp_path, register, toy) -> Settings:
    """A registry of demo:1 (champion) and demo:2."""
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files())
    register(settings, "demo", toy.files(), alias=None)
    return settings


def served(server) -> set[int]:
    """The versions that answer, asked over many new connections."""
    return {server.client.get("/readyz").json().get("version") for _ in range(8)}


def workers(server) -> list[psutil.Process]:
    alive = [child for child in psutil.Process(server.process.pid).children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "worker" in " ".join(child.cmdline())]


def in_files(server) -> dict[int, dict[str, float]]:
    """`model_info` by version, as it stands in the file of each worker, by its process."""
    infos = {}
    for file in (file for folder in server.own_files for file in folder.rglob("gauge_mostrecent_*.db")):
        values = ((json.loads(key), value) for key, value, *_ in MmapedDict.read_all_values_from_file(str(file)))
        info = {key[2]["version"]: value for key, value in values if key[0] == "tailorbird_model_info"}
        infos[int(file.stem.rpartition("_")[2])] = info
    return infos


def all_serve(server, number, processes) -> bool:
    """Whether so many workers are there, and each serves a version: a server is ready as soon as one is."""
    infos = in_files(server)
    return sum(infos.get(worker.pid, {}).get(str(number)) == 1 for worker in workers(server)) == processes


def swap(settings, number):
    with Registry(settings) as registry:
        if number == 1:
            aliases.rollback(registry, Rollback("demo", to=1, why="a test", who="tester"))
        else:
            aliases.promote(registry, Promotion("demo", number, why="a test", who="tester", force=True))


def swap_under_load(start, own, count, processes, kill_at=(), end_at=()) -> tuple[Load, list[int]]:
    """The load, and how many requests were lost with each worker that was killed; others were told to end."""
    server = start(own, workers=processes).wait()
    lost = []
    with Load(server.url, pause=0.005) as load:
        for turn in range(count):
            number = 2 - turn % 2
            if turn in {*kill_at, *end_at}:
                wait_for(lambda number=number: all_serve(server, 3 - number, processes))
            before = len(load.lost)
            if turn in kill_at:
                workers(server)[0].kill()
            if turn in end_at:
                workers(server)[0].terminate()
            swap(own, number)
            wait_for(lambda number=number: served(server) == {number})
            settle(load, number)
            if turn in kill_at:
                lost.append(len(load.lost) - before)
    assert server.stop() == 0
    alone = processes == 1 and (kill_at or end_at)  # then there is nobody to answer until there is another worker
    assert {status for status, _ in load.answers} == ({200, 503} if alone else {200})
    assert {version for status, version in load.answers if status == 200} == {1, 2}
    return load, lost


def settle(load, number):
    """From when all clients are answered by a version, all answers are that version's."""
    wait_for(lambda: set(load.latest.values()) == {number})
    before, seen = Counter(load.answers), load.total
    wait_for(lambda: load.total > seen + 5 * load.clients)
    assert (Counter(load.answers) - before).keys() == {(200, number)}


def test_swaps_lose_nothing(start, own):
    load, _ = swap_under_load(start, own, 4, 1)
    assert load.lost == []


def test_a_worker_that_dies_takes_only_what_it_had_in_hand(start, own):
    load, lost = swap_under_load(start, own, 4, 2, kill_at=[1])
    assert len(load.lost) == sum(lost) <= load.clients


@pytest.mark.long
@pytest.mark.parametrize(
    ("processes", "kill_at", "end_at"), [(1, (), ()), (1, (30, 70), (50, 90)), (2, (30, 70), (50, 90))]
)
def test_a_hundred_swaps(start, own, processes, kill_at, end_at):
    load, lost = swap_under_load(start, own, 100, processes, kill_at, end_at)
    print(f"{load.total} answers, {lost} lost with workers")
    assert len(load.lost) == sum(lost)
    assert all(count <= load.clients for count in lost)
