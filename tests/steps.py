"""The steps of a process: each file that it opens, flush, change of a name, request to S3, statement and commit.

A process can be killed at any of them, or told that it failed.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from tests import s3

NAMES = ("os.mkdir", "os.rename", "os.remove", "os.link", "os.rmdir", "os.utime")


def watch(step: Callable[[str], object], below: Path) -> None:
    """Call `step` before each step from now on, with what is asked: file, request, sqlite, postgresql or nobody.

    Of files those below a folder count. There is no way back: this is for processes that end soon.
    """

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" or event in NAMES:
            path = arguments[0]
            if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(below):
                step("file")

    def fsync(descriptor: int, flush: Callable[[int], None] = os.fsync) -> None:
        step("file")
        flush(descriptor)

    os.fsync = fsync
    sys.addaudithook(audit)
    if "botocore" in sys.modules:  # a parent that has a bucket has loaded it
        s3.watch(lambda: step("request"))
    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, event, lambda connection, *_: step(connection.dialect.name))
    sa.event.listen(sa.pool.Pool, "reset", lambda *_: step("nobody"))  # right after a commit


def kill_at(number: int, below: Path) -> Callable[[], int]:
    """Kill this process before its step of that number; returns what tells how many steps there were."""
    came = []

    def kill(kind: str) -> None:
        came.append(kind)
        if len(came) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(kill, below)
    return lambda: len(came)


def fail_at(number: int, below: Path) -> Callable[[], int]:
    """Let the step of that number fail as it would if its disk or network did; returns the same."""
    came = []

    def fail(kind: str) -> None:
        if kind != "nobody":
            came.append(kind)
            if len(came) == number:
                raise _failure(kind)

    watch(fail, below)
    return lambda: len(came)


def _failure(kind: str) -> Exception:
    if kind == "file":
        return OSError(errno.EIO, os.strerror(errno.EIO))
    if kind == "request":
        from botocore.exceptions import ConnectionClosedError

        return ConnectionClosedError(endpoint_url="the tests' server")
    if kind == "postgresql":
        import psycopg

        return psycopg.OperationalError("the connection was lost")
    import sqlite3

    return sqlite3.OperationalError("disk I/O error")
