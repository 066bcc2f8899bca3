"""The server's folder, in memory if there is room."""

import os
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from serving.standin import ALIVE
from tailorbird import folders
from tailorbird.files import in_use

MEMORY, ROOM_BYTES = "/dev/shm", 16 * 2**20  # noqa: S108 - the folder in it is made by tempfile
PREFIX = "tailorbird-serve-"


def own() -> AbstractContextManager[Path]:
    """A new folder, which is removed at the end; folders of killed servers without workers are removed first."""
    usual = tempfile.gettempdir()
    return folders.own(PREFIX, MEMORY if _has_room() else usual, (MEMORY, usual), _has_workers, f"-{os.getpid()}")


def _has_workers(folder: Path) -> bool:
    """Whether a worker of a server still runs."""
    return (folder / ALIVE).exists() and in_use(folder / ALIVE)


def _has_room() -> bool:
    """Whether the folder may lie in memory, and not among temporary files.

    Workers map the files of their metrics, and the system kills a process that writes to a mapped file on a full disk.
    """
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize > ROOM_BYTES and os.access(MEMORY, os.W_OK | os.X_OK)
