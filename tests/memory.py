"""Where tests keep their files: flushes of a disk would be a third of the time that they take."""

import shutil
from pathlib import Path

FOLDER = "/dev/shm"
ROOM_BYTES = 8 * 2**30
"""Enough for some hundred databases of PostgreSQL, of 8 MB each, in each of the worker processes."""


def folder() -> str | None:
    """A folder in memory with room for all that tests write; None where there is none."""
    return FOLDER if Path(FOLDER).is_dir() and shutil.disk_usage(FOLDER).free > ROOM_BYTES else None
