import socket
import tempfile
import threading
import time
from concurrent import futures

import grpc
import pytest

from tailorbird.errors import Unavailable
from tuning import cluster


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "localhost:{}"])
def test_an_address_where_nothing_answers_is_told_at_once(form):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = form.format(probe.getsockname()[1])
        with pytest.raises(Unavailable, match="does not answer"), cluster.connected(address):
            pytest.fail("connected to nothing")


def test_an_address_that_is_none_is_told():
    with pytest.raises(Unavailable, match="does not answer"), cluster.connected("127.0.0.1:99999"):
        pytest.fail("connected to nothing")


def test_sockets_fit_below_a_long_temporary_folder(monkeypatch, tmp_path):
    longest = tmp_path / ("x" * 80)
    longest.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(longest))
    assert len(cluster._short_folder()) <= cluster.LONGEST_FOLDER
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    assert cluster._short_folder() == "/var/tmp"


def test_a_ray_that_does_not_start_is_told(monkeypatch):
    def late(*_, **__):
        raise Exception("The current node timed out during startup.\nSee the logs.")  # as Ray does

    monkeypatch.setattr(cluster.ray, "init", late)
    told = r"^Ray did not start: The current node timed out during startup\.; if this"
    with pytest.raises(Unavailable, match=told), cluster.connected(None):
        pytest.fail("connected to nothing")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_an_address_of_something_else_is_told_within_seconds(answer):
    def serve(listening):
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    connection.recv(1000)
                    connection.sendall(answer)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"^what answers at 127\.0\.0\.1:\d+ is no Ray cluster"):
            cluster.check(f"127.0.0.1:{listening.getsockname()[1]}")
    assert time.monotonic() - began < 10


def test_a_grpc_server_that_is_not_ray_is_told():
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with pytest.raises(Unavailable, match=r"is no Ray cluster: Method not found!; give the port of its head"):
        cluster.check(f"127.0.0.1:{port}")
    server.stop(None)
