"""The server's folder: in memory if there is room, removed with the server or when the next one starts."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.standin import ALIVE
from tailorbird.files import in_use

MEMORY, ROOM_BYTES = "/dev/shm", 16 * 2**20  # noqa: S108 - the folder in it is made by tempfile
PREFIX = "tailorbird-serve-"
OWNER = "owner"
"""A file in the folder that its server has locked for as long as it lives."""


@contextmanager
def own() -> Iterator[Path]:
    """A new folder, which is removed at the end; those of servers that were killed are removed before it is made."""
    for room in (MEMORY, tempfile.gettempdir()):
        for folder in Path(room).glob(f"{PREFIX}*"):
            if _left(folder):
                shutil.rmtree(folder, ignore_errors=True)
    temporary = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=_memory())
    descriptor = _claim(Path(temporary.name))
    try:
        with temporary as name:
            yield Path(name)
    finally:
        os.close(descriptor)


def _claim(folder: Path) -> int:
    unlocked = folder / f".{OWNER}"
    descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    unlocked.rename(folder / OWNER)  # so that nobody finds it while it is not locked
    return descriptor


def _left(folder: Path) -> bool:
    """Whether this user's server was killed, and its workers have ended too; not told by a process's number, which
    another process may have by now, or another container."""
    try:
        if folder.lstat().st_uid != os.geteuid() or in_use(folder / OWNER):
            return False
        return not ((folder / ALIVE).exists() and in_use(folder / ALIVE))
    except OSError:  # without an owner it is just being made
        return False


def _memory() -> str | None:
    """Where the folder goes, if not among temporary files: workers map the files of their metrics, and whoever writes
    to such a file on a full disk is ended by the system."""
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return None
    enough = room.f_bavail * room.f_frsize > ROOM_BYTES
    return MEMORY if enough and os.access(MEMORY, os.W_OK | os.X_OK) else None
