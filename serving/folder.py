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
"""A file in the folder that its server keeps locked as long as it runs."""


@contextmanager
def own() -> Iterator[Path]:
    """A new folder, which is removed at the end; folders of killed servers are removed first."""
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
    unlocked.rename(folder / OWNER)  # so that nobody sees it unlocked
    return descriptor


def _left(folder: Path) -> bool:
    """Whether this user's server was killed, and its workers have ended too.

    Process numbers do not show this: they may be reused, also by other containers.
    """
    try:
        if folder.lstat().st_uid != os.geteuid() or in_use(folder / OWNER):
            return False
        return not ((folder / ALIVE).exists() and in_use(folder / ALIVE))
    except OSError:  # without an owner it is just being created
        return False


def _memory() -> str | None:
    """The parent of the folder, if not that of temporary files.

    Workers map the files of their metrics, and the system kills a process that writes to a mapped file on a full disk.
    """
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return None
    enough = room.f_bavail * room.f_frsize > ROOM_BYTES
    return MEMORY if enough and os.access(MEMORY, os.W_OK | os.X_OK) else None
