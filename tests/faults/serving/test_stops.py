"""Servers are stopped, and their workers killed, while clients ask that keep their connections."""

import http.client
import os
import signal
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tailorbird.settings import Settings
from tests.faults.serving.load import Load
from tests.faults.serving.test_swaps import all_serve, workers
from tests.waiting import BOUND_SECONDS, wait_for


@pytest.fixture(scope="module")
def own(tmp_path_factory, register, toy) -> Settings:
    settings = Settings(_env_file=None, home=tmp_path_factory.mktemp("home"))
    register(settings, "demo", toy.files())
    return settings


@pytest.mark.parametrize(("number", "drain", "processes"), [(signal.SIGTERM, "1", 2), (signal.SIGHUP, "0", 1)])
def test_no_request_is_lost(start, own, number, drain, processes):
    server = start(own, workers=processes, TAILORBIRD_DRAIN_SECONDS=drain).wait()
    with Load(server.url) as load:
        wait_for(lambda: load.total > 50)
        server.process.send_signal(number)
        assert server.process.wait(BOUND_SECONDS) == 0
        wait_for(lambda: load.refused > 3)
    assert load.lost == []
    assert {status for status, _ in load.answers} == {200}


@pytest.mark.parametrize(("processes", "statuses"), [(2, {200}), (1, {200, 503})])
def test_a_worker_that_is_told_to_end_alone_takes_nothing_with_it(start, own, processes, statuses):
    server = start(own, workers=processes).wait()
    with Load(server.url, clients=8) as load:
        wait_for(lambda: load.total > 50 and all_serve(server, 1, processes))
        worker = workers(server)[0]
        worker.terminate()
        worker.wait(BOUND_SECONDS)
        wait_for(lambda: len(workers(server)) == processes)
        server.wait()
        wait_for(lambda seen=load.total: load.total > seen + 50)
        assert server.stop() == 0
    assert load.lost == []
    assert {status for status, _ in load.answers} == statuses


@pytest.mark.long
def test_no_request_is_lost_however_often_it_is_tried(start, own):
    """Clients that keep their connections send when the signal comes, and while idle connections are closed."""
    for turn in range(24):
        server = start(own, workers=1 + turn % 2, TAILORBIRD_DRAIN_SECONDS=str(turn % 4 / 2)).wait()
        with Load(server.url, clients=16) as load:
            wait_for(lambda load=load: load.total > 200)
            server.process.send_signal(signal.SIGHUP if turn % 3 == 2 else signal.SIGTERM)
            assert server.process.wait(BOUND_SECONDS) == 0
        assert load.lost == []
        assert {status for status, _ in load.answers} == {200}


@pytest.mark.long
@pytest.mark.parametrize("length", [1000, 1_000_000], ids=["that is collected", "that a task reads"])
def test_a_body_that_is_not_whole_when_the_server_ends_is_answered(start, own, length):
    server = start(own, TAILORBIRD_RECEIVE_SECONDS="300").wait()
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=BOUND_SECONDS)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(length))
    connection.endheaders(b"{")  # and nothing more
    assert server.client.get("/livez").status_code == 200  # the server has read both
    server.process.send_signal(signal.SIGTERM)
    response = connection.getresponse()
    assert (response.status, response.headers["content-type"]) == (503, "application/problem+json")
    assert response.headers["retry-after"]
    assert server.process.wait(BOUND_SECONDS) == 0


def test_it_says_at_once_that_it_stops_and_still_takes_connections(start, own):
    server = start(own, TAILORBIRD_DRAIN_SECONDS="2").wait()
    kept = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=BOUND_SECONDS)
    kept.request("GET", "/livez")
    kept.getresponse().read()
    server.process.send_signal(signal.SIGTERM)
    server.wait(status=503)
    response = server.client.get("/livez")
    assert (response.status_code, response.headers["connection"]) == (200, "close")
    kept.request("GET", "/livez")
    assert kept.getresponse().headers["connection"] == "close"
    assert server.process.wait(BOUND_SECONDS) == 0


def test_while_no_worker_is_alive_somebody_says_so(start, own):
    server = start(own, workers=2).wait()
    for worker in workers(server):
        worker.kill()
    answers = []

    def ready() -> bool:
        try:
            response = server.client.get("/readyz")
        except httpx.TransportError:  # a worker had accepted it before it was killed
            return False
        answers.append(response)
        return response.status_code == 200

    wait_for(ready)
    refused = [response for response in answers if response.status_code == 503]
    assert refused
    assert all(response.headers["retry-after"] and response.headers["x-request-id"] for response in refused)
    assert server.stop() == 0


def test_a_killed_worker_is_no_longer_counted_among_what_is_in_flight(start, own):
    server = start(own, workers=2).wait()
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(b"{")  # and nothing more
    wait_for(lambda: "tailorbird_in_flight_requests 2.0" in server.client.get("/metrics").text)  # and this one
    holding = [process for process in workers(server) if connected(process, connection.sock.getsockname()[1])]
    os.kill(holding[0].pid, signal.SIGKILL)
    wait_for(lambda: "tailorbird_in_flight_requests 1.0" in server.client.get("/metrics").text)
    assert server.stop() == 0


def connected(process: psutil.Process, port: int) -> bool:
    return any(connection.raddr and connection.raddr.port == port for connection in process.net_connections())
