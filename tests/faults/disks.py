"""What fills the small disk of a test."""

import os
from pathlib import Path


def fill(folder: Path, leave: int = 0) -> None:
    """Leave so many bytes free."""
    room = os.statvfs(folder)
    (folder / "filler").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - leave)))
