"""Folders that are removed with their process, or, if it was killed, when the next one of their kind is made."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tailorbird.files import in_use

OWNER = "owner"
"""A file in the folder that its process keeps locked as long as it runs."""


@contextmanager
def own(
    prefix: str,
    parent: str,
    others: Sequence[str] = (),
    busy: Callable[[Path], bool] = lambda _: False,
    suffix: str = "",
) -> Iterator[Path]:
    """A new folder in `parent`, whose name starts with `prefix` and ends with `suffix`, only for this user.

    First those of killed processes are removed, from `parent` and from the `others`, unless they are `busy`.
    """
    for room in {parent, *others}:
        for folder in Path(room).glob(f"{prefix}*"):
            if _is_left(folder) and not busy(folder):
                shutil.rmtree(folder, ignore_errors=True)
    temporary = tempfile.TemporaryDirectory(suffix, prefix, parent, ignore_cleanup_errors=True)
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


def _is_left(folder: Path) -> bool:
    """Whether this user's process was killed.

    Process numbers do not show this: they may be reused, also by other containers.
    """
    try:
        return folder.lstat().st_uid == os.geteuid() and not in_use(folder / OWNER)
    except OSError:  # without an owner it is just being created
        return False
