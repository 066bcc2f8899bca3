"""Responds with 503 in the server's parent process while no worker is alive, so that clients do not wait.

Each worker holds a lock from when it is ready until it ends, however it ends; where the parent gets that lock for
itself, there is none, and the listening socket, which it shares with them, is its own for a moment. What it answers
is counted as what workers answer, so that the metrics are what clients count.
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
"""The file in the server's own folder that workers lock."""
TURN_SECONDS = 0.05
DRAIN_SECONDS = 1
READ_BYTES = 64 * 1024


def alive(folder: Path) -> int:
    """Say that a worker is ready, for as long as the descriptor is open; blocks for a moment at most."""
    descriptor = _open(folder)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


class Standin:
    """`listener` gives the listening socket, or None before there is one."""

    def __init__(self, folder: Path, listener: Callable[[], socket.socket | None]) -> None:
        self._folder = folder
        self._listener = listener
        self._over = threading.Event()
        self._counting = threading.Lock()
        self.begun = threading.Event()
        """Set once a worker was seen: before the first one there is nothing to stand in for."""

    @cached_property
    def count(self) -> Callable[[bytes, Shed, float], None]:
        """Had when there is something to count: the folder that workers share their metrics in is there by then."""
        from serving.refusals import Refusals  # a third of a second that the server's start spares

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
                self.begun.set()
                self._over.wait(TURN_SECONDS)
            else:
                if self.begun.is_set():
                    self._answer_for_a_moment()
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

    def _answer_for_a_moment(self) -> None:
        shared = self._listener()
        if shared is None:
            return
        with suppress(OSError), socket.socket(fileno=os.dup(shared.fileno())) as listening:
            listening.settimeout(TURN_SECONDS)
            end = time.monotonic() + TURN_SECONDS  # then a worker may want to begin
            while time.monotonic() < end:
                connection, _ = listening.accept()
                connection.settimeout(TURN_SECONDS)
                if _is_silent(connection):  # on a busy machine it may take a while from connecting to sending
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
        except Exception:  # the next client is to be answered all the same
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
    """Read what still comes: a body that is not read would reset the connection before the answer is seen."""
    end = time.monotonic() + DRAIN_SECONDS
    with suppress(TimeoutError):
        while time.monotonic() < end and connection.recv(READ_BYTES):
            pass


def _open(folder: Path) -> int:
    return os.open(folder / ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
