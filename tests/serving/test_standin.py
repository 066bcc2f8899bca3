import os
import socket
import time

import httpx
import pytest

from serving import standin
from serving.standin import Standin


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture
def standing(tmp_path, listening):
    own = Standin(tmp_path, lambda: listening)
    own.start()
    yield own
    own.stop()


def ask(listening, seconds=5):
    return httpx.get(f"http://127.0.0.1:{listening.getsockname()[1]}/readyz", timeout=seconds)


def test_answers_when_the_last_worker_has_ended(tmp_path, listening, standing):
    workers = [standin.alive(tmp_path) for _ in range(2)]
    time.sleep(0.2)  # the stand-in looks again and again
    os.close(workers[0])
    with pytest.raises(httpx.ReadTimeout):  # one is left, which is the one to answer
        ask(listening, seconds=0.5)
    os.close(workers[1])
    for response in (
        ask(listening),
        httpx.post(f"http://127.0.0.1:{listening.getsockname()[1]}/", content=b"x" * 10**6),
    ):
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["instance"] == response.headers["x-request-id"]
    counted = standing.count.__self__.metrics.registry.get_sample_value(
        "tailorbird_shed_total", {"reason": "restarting"}
    )
    assert counted == 3  # with the one that nobody answered at first
    worker = standin.alive(tmp_path)  # the next worker gets its turn
    with pytest.raises(httpx.ReadTimeout):
        ask(listening, seconds=0.5)
    os.close(worker)


def test_before_the_first_worker_it_leaves_everything_alone(listening, standing):
    with pytest.raises(httpx.ReadTimeout):
        ask(listening, seconds=0.5)
