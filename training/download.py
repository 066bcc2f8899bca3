"""Downloads with a progress bar; a file appears under its name only when it is whole and the one that was meant."""

import gzip
import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path

from rich.progress import wrap_file

from tailorbird import terminal
from tailorbird.errors import Unavailable


def fetch(url: str, path: Path, check: Callable[[Path], None], timeout: float, folder: str) -> None:
    """Download a file to `path`, if it passes `check`, which raises OSError; `folder` says how to choose another one.

    Raises Unavailable after `timeout` seconds without an answer, and where anything else than the file came: nothing
    is left behind then, so that the next call tries again.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}; {folder}") from None
    try:
        _copy(url, descriptor, path.name, timeout)
        check(Path(temporary))
        Path(temporary).chmod(0o644)  # other users may share the folder
        Path(temporary).replace(path)
    except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
        reason = getattr(error, "reason", None) or error
        raise Unavailable(f"{url} cannot be downloaded: {reason}; put the file at {path} or try again") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _copy(url: str, descriptor: int, name: str, timeout: float) -> None:
    with os.fdopen(descriptor, "wb") as file, urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310
        size = answer.length or 0
        with wrap_file(answer, total=size, description=name, console=terminal.console(stderr=True)) as source:
            shutil.copyfileobj(source, file)
        if size and file.tell() != size:
            raise OSError(f"the connection broke off after {file.tell()} of {size} bytes")


def check_unpacked(path: Path, sha256: str) -> None:
    """Raise OSError where what a gzipped file holds has another SHA-256 sum."""
    try:
        with gzip.open(path) as unpacked:
            found = hashlib.file_digest(unpacked, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise OSError(f"what came cannot be unpacked ({error})") from None
    if found != sha256:
        raise OSError("what came is not the published file (its SHA-256 sum differs)")
