import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from serving import announcement
from serving.announcement import Announcement
from tests.ports import free_port


@pytest.fixture
def killed(monkeypatch):
    calls = []
    monkeypatch.setattr(os, "kill", lambda *args: calls.append(args))
    return calls


def answering(status, content) -> HTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def announce(host, port) -> Announcement:
    made = Announcement("demo:1", host, {"localhost": "127.0.0.1"}.get(host, host), port)
    made._run()
    return made


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_says_where_it_answers(killed, capsys, host):
    with answering(200, {"status": "ready"}) as server:
        assert announce(host, server.server_port).problem is None
        server.shutdown()
    assert capsys.readouterr().out == f"serving demo:1 at http://{host}:{server.server_port} (Ctrl-C stops)\n"
    assert not killed


def test_stops_a_server_that_has_no_model(killed, capsys):
    with answering(503, {"detail": "there is no model to serve"}) as server:
        assert announce("127.0.0.1", server.server_port).problem == "there is no model to serve"
        server.shutdown()
    assert killed == [(os.getpid(), signal.SIGTERM)]
    assert capsys.readouterr().out == ""


def test_stops_a_server_that_never_answers(killed, monkeypatch):
    monkeypatch.setattr(announcement, "START_SECONDS", 0.3)
    assert announce("127.0.0.1", free_port()).problem == "the server did not answer within 0.3 s"
    assert killed == [(os.getpid(), signal.SIGTERM)]


def test_waits_for_a_server_that_comes_late(killed, capsys):
    port = free_port()
    made = Announcement("demo:1", "127.0.0.1", "127.0.0.1", port)
    asking = threading.Thread(target=made._run)
    asking.start()

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", port), Ready) as server:
        server.timeout = 10
        server.handle_request()
    asking.join()
    assert not killed
    assert "serving demo:1" in capsys.readouterr().out
