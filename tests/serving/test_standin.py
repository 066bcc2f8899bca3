import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from serving import standin
from serving.standin import Standin
from tests.waiting import BOUND_SECONDS, wait_for


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
    counts = standing.count.__self__.metrics.registry
    reason = {"reason": "restarting"}
    # with the one that nobody answered at first
    wait_for(lambda: counts.get_sample_value("tailorbird_shed_total", reason) == 3)
    worker = standin.alive(tmp_path)  # the next worker gets its turn
    with pytest.raises(httpx.ReadTimeout):
        ask(listening, seconds=0.5)
    os.close(worker)


def test_before_the_first_worker_it_leaves_everything_alone(listening, standing):
    with pytest.raises(httpx.ReadTimeout):
        ask(listening, seconds=0.5)


def test_a_client_that_is_slow_to_send_is_answered_and_keeps_nobody_waiting(tmp_path, listening, standing):
    worker = standin.alive(tmp_path)
    os.close(worker)
    with socket.create_connection(listening.getsockname()) as slow:
        assert ask(listening).status_code == 503
        time.sleep(4 * standin.TURN_SECONDS)
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        time.sleep(4 * standin.TURN_SECONDS)
        slow.sendall(b"x")
        assert slow.recv(100).startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize("error", [OSError, ZeroDivisionError])
def test_what_cannot_be_counted_is_answered_and_logged(tmp_path, listening, standing, caplog, error):
    def fail(*_):
        raise error("no room for metrics")

    standing.count = fail
    worker = standin.alive(tmp_path)
    os.close(worker)
    assert [ask(listening).status_code for _ in range(2)] == [503, 503]
    wait_for(lambda: caplog.text.count(f"{error.__name__}: no room for metrics") == 2)


def test_a_body_that_never_ends_does_not_keep_the_next_worker(tmp_path, listening, standing):
    worker = standin.alive(tmp_path)
    os.close(worker)
    over = threading.Event()

    def send():
        with suppress(OSError), socket.create_connection(listening.getsockname()) as connection:
            while not over.wait(standin.TURN_SECONDS / 5):
                connection.sendall(b"x")

    with ThreadPoolExecutor() as threads:
        sending = threads.submit(send)
        try:
            sending.result(BOUND_SECONDS)  # the connection ends, though the client goes on
        finally:
            over.set()
