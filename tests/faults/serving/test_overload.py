"""More requests than a model can answer: those that are taken stay quick, the others hear of it at once."""

import asyncio
import time
from collections import Counter

import httpx
import numpy as np
import psutil
import pytest

from tailorbird.settings import Settings
from tests.faults.serving.test_swaps import workers

ROWS = np.zeros((256, 28, 28), np.uint8).tobytes()
HEADERS = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def own(tmp_path, register, toy) -> Settings:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files())
    return settings


async def open_loop(url, rate, seconds) -> list[tuple[int, float]]:
    """Requests that come at a rate, whatever became of those before: the status and the seconds of each."""
    outcomes = []
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:

        async def one():
            asked = time.perf_counter()
            response = await client.post("/predict", content=ROWS, headers=HEADERS)
            outcomes.append((response.status_code, time.perf_counter() - asked))

        async with asyncio.TaskGroup() as group:
            begun = time.perf_counter()
            for turn in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, begun + turn / rate - time.perf_counter()))
                group.create_task(one())
    return outcomes


def shed(server) -> float:
    lines = server.client.get("/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("tailorbird_shed_total{"))


def overload(start, own, seconds):
    server = start(own).wait()
    alone = [seconds for _, seconds in asyncio.run(open_loop(server.url, 10, 2))]
    outcomes = asyncio.run(open_loop(server.url, 3 / float(np.median(alone)), seconds))
    memory = psutil.Process(workers(server)[0].pid).memory_info().rss
    return server, outcomes, memory


def test_some_are_shed_and_all_are_answered(start, own):
    server, outcomes, _ = overload(start, own, 2)
    statuses = Counter(status for status, _ in outcomes)
    assert statuses.keys() <= {200, 503}
    assert statuses[200] > 0
    assert shed(server) == statuses[503]
    assert server.client.post("/predict", content=ROWS, headers=HEADERS).status_code == 200
    assert server.stop() == 0


@pytest.mark.long
def test_memory_stays_flat(start, own):
    server, outcomes, memory = overload(start, own, 30)
    assert {status for status, _ in outcomes} == {200, 503}
    assert memory < 250e6
    assert server.stop() == 0
