"""Responds with 503 in the server's parent process while no worker is alive, so that clients do not wait.

Each worker holds a lock from when it is ready until it ends, even by a kill. If the parent gets an exclusive lock,
there is no worker, and it accepts connections from the shared listening socket itself. Before the first worker the
locked file is empty, and there is nothing to stand in for. The responses are counted like those of workers, so that
the metrics match what clients see.
"""

import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from serving.problems import Problem, Shed
from serving.requests import new_id

logger = logging.getLogger(__name__)

ALIVE = "alive"
"""The file in the server's folder that workers lock."""
TURN_SECONDS = 0.05
DRAIN_SECONDS = 1
READ_BYTES = 64 * 1024


def alive(folder: Path) -> int:
    """Mark this worker as ready as long as the descriptor is open; blocks for a moment at most."""
    descriptor = _open(folder)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.pwrite(descriptor, b"1", 0)
    return descriptor


class Standin:
    """`listener` gives the listening socket, or None before there is one."""

    def __init__(self, folder: Path, listener: Callable[[], socket.socket | None]) -> None:
        self._folder = folder
        self._listener = listener
        self._over = threading.Event()
        self._counting = threading.Lock()

    @cached_property
    def count(self) -> Callable[[bytes, Shed, float], None]:
        """Created for the first refusal, when the folder of the workers' metrics exists."""
        from serving.refusals import Refusals  # saves a third of a second at the server's start

        return Refusals().count

    def start(self) -> None:
        threading.Thread(target=self._run, name="standin", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        descriptor = _open(self._folder)
        while not self._over.wait(TURN_SECONDS / 5):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._over.wait(TURN_SECONDS)
            else:
                if os.fstat(descriptor).st_size:
                    self._answer_for_a_moment()
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

    def _answer_for_a_moment(self) -> None:
        shared = self._listener()
        if shared is None:
            return
        with suppress(OSError), socket.socket(fileno=os.dup(shared.fileno())) as listening:
            listening.settimeout(TURN_SECONDS)
            end = time.monotonic() + TURN_SECONDS  # lets a starting worker take the lock
            while time.monotonic() < end:
                connection, _ = listening.accept()
                connection.settimeout(TURN_SECONDS)
                if _is_silent(connection):  # on a busy machine, a client may send a while after connecting
                    connection.settimeout(DRAIN_SECONDS)
                    threading.Thread(target=self._refuse, args=[connection], daemon=True).start()
                else:
                    self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            self._respond(connection)

    def _respond(self, connection: socket.socket) -> None:
        started = time.monotonic()
        request = b""
        with suppress(TimeoutError):
            request = connection.recv(READ_BYTES)
            if not request:  # the client is gone
                return
        shed = Shed("restarting", "the server's workers are being restarted; try again")
        try:
            _answer(connection, shed)
        finally:
            self._try_to_count(request, shed, time.monotonic() - started)
        _drain(connection)

    def _try_to_count(self, request: bytes, shed: Shed, seconds: float) -> None:
        try:
            with self._counting:
                self.count(request, shed, seconds)
        except Exception:  # the next client must still be answered
            logger.exception("a refused request could not be counted")


def _answer(connection: socket.socket, problem: Problem) -> None:
    request_id = new_id()
    answer = problem.answer(request_id)
    lines = {"Content-Type": answer.media_type, "Content-Length": len(answer.body), "X-Request-ID": request_id}
    head = "".join(f"{name}: {value}\r\n" for name, value in (lines | dict(answer.headers)).items())
    connection.sendall(f"HTTP/1.1 503 Service Unavailable\r\n{head}Connection: close\r\n\r\n".encode() + answer.body)
    connection.shutdown(socket.SHUT_WR)


def _is_silent(connection: socket.socket) -> bool:
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    except OSError:  # the client is gone
        return False
    return False


def _drain(connection: socket.socket) -> None:
    """Read the rest of the body: unread data would reset the connection before the client gets the response."""
    end = time.monotonic() + DRAIN_SECONDS
    with suppress(TimeoutError):
        while time.monotonic() < end and connection.recv(READ_BYTES):
            pass


def _open(folder: Path) -> int:
    return os.open(folder / ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
