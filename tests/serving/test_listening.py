import socket
import sys
from collections.abc import Iterator

import pytest

from serving.listening import last_connections, refuse_handshakes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters the packets of a socket")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket() as connection:
        connection.settimeout(30)
        yield connection


def test_no_handshake_begins(listening, client):
    refuse_handshakes(listening)
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.connect(listening.getsockname())
    assert last_connections(listening) == []
    with socket.socket() as later, pytest.raises(ConnectionRefusedError):
        later.connect(listening.getsockname())


def test_a_handshake_that_has_begun_ends(listening, client):
    """The server defers accepting until data comes, and so keeps the handshake open."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
    client.connect(listening.getsockname())
    refuse_handshakes(listening)
    client.sendall(b"request")
    listening.settimeout(30)
    connection, _ = listening.accept()
    with connection:
        assert connection.recv(100) == b"request"
        assert last_connections(listening) == []
        connection.sendall(b"answer")
    assert client.recv(100) == b"answer"


def test_connections_that_wait_are_accepted(listening, client):
    client.connect(listening.getsockname())
    (connection,) = last_connections(listening)
    connection.close()
    assert client.recv(1) == b""
