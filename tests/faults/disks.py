"""What fills the small disk of a test."""

import errno
import os
from pathlib import Path


def fill(folder: Path, leave: int = 0) -> None:
    """Leave `leave` bytes free."""
    room = os.statvfs(folder)
    try:
        (folder / "filler").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - leave)))
    except OSError as error:
        if error.errno != errno.ENOSPC:  # which others that write meanwhile may bring about
            raise
