"""More requests than a model can answer: those that are taken stay quick, the others hear of it at once."""

import asyncio
import time
from collections import Counter
from itertools import pairwise

import httpx
import numpy as np
import onnx
import psutil
import pytest
from onnx import helper, numpy_helper

from tailorbird.settings import Settings
from tests.faults.serving.test_swaps import workers

ROWS = np.zeros((16, 28, 28), np.uint8).tobytes()
HEADERS = {"Content-Type": "application/octet-stream"}
LAYERS = 24
"""So that an answer costs the server some ten times what it costs this client to ask, and the client can be too fast
for it on a busy machine too."""


@pytest.fixture
def own(tmp_path, register, toy) -> Settings:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files() | {"model.onnx": slowed(toy.onnx())})
    return settings


def slowed(model) -> bytes:
    """The model with layers before its last that change nothing."""
    proto = onnx.load_from_string(model)
    graph = proto.graph
    (product,) = (index for index, node in enumerate(graph.node) if node.op_type == "MatMul")
    scaled, weights = graph.node[product].input
    size = next(constant.dims[0] for constant in graph.initializer if constant.name == weights)
    graph.initializer.append(numpy_helper.from_array(np.eye(size, dtype=np.float32), "identity"))
    names = [scaled, *(f"layer {number}" for number in range(LAYERS))]
    graph.node[product].input[0] = names[-1]
    for place, (before, after) in enumerate(pairwise(names), product):
        graph.node.insert(place, helper.make_node("MatMul", [before, "identity"], [after]))
    return proto.SerializeToString()


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


def shed(server, reason="") -> float:
    """How many requests were, for a reason or for any."""
    begin = f'tailorbird_shed_total{{reason="{reason}'
    lines = server.client.get("/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(begin))


def overload(server, seconds, factor=3) -> list[tuple[int, float]]:
    """What becomes of `factor` times the requests that the server can answer one after another."""
    alone = float(np.median([seconds for _, seconds in asyncio.run(open_loop(server.url, 10, 2))]))
    outcomes = asyncio.run(open_loop(server.url, factor / alone, seconds))
    for code in (200, 503):
        times = [seconds for status, seconds in outcomes if status == code] or [0]
        print(f"{len(times)} of {code}: p50 {np.quantile(times, 0.5):.4f} s, p99 {np.quantile(times, 0.99):.4f} s")
    print(f"alone: p50 {alone:.4f} s")
    return outcomes


def memory(server) -> int:
    return psutil.Process(workers(server)[0].pid).memory_info().rss


def test_some_are_shed_and_all_are_answered(start, own):
    server = start(own).wait()
    statuses = Counter()
    for factor in (3, 10, 30, 100):  # on a busy machine, the server alone may have had to wait for the processor
        statuses.update(status for status, _ in overload(server, 2, factor))
        if 503 in statuses:
            break
    assert statuses.keys() == {200, 503}
    assert shed(server) == statuses[503]
    assert server.client.post("/predict", content=ROWS, headers=HEADERS).status_code == 200
    assert server.stop() == 0


@pytest.mark.long
def test_memory_stays_flat(start, own):
    server = start(own).wait()
    overload(server, 5)
    before = memory(server)
    assert {status for status, _ in overload(server, 30)} == {200, 503}
    assert memory(server) < before + 20e6
    assert server.stop() == 0
