"""Downloads with a progress bar; a file appears under its name only when it is complete and verified."""

import gzip
import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path

from rich.progress import wrap_file

from tailorbird import files, terminal
from tailorbird.errors import Unavailable


def fetch(url: str, path: Path, check: Callable[[Path], None], timeout: float, folder: str) -> None:
    """Download a file to `path` if it passes `check`, which raises OSError; `folder` says how to choose another folder.

    Raises Unavailable after `timeout` seconds without a response, and if something else than the file was received:
    nothing is left behind then, so the next call tries again.
    """
    try:
        with files.new_file(path) as hidden:
            try:
                _copy(url, hidden, timeout)
                check(hidden)
            except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
                reason = getattr(error, "reason", None) or error
                problem = f"{url} cannot be downloaded: {reason}; put the file at {path} or try again"
                raise Unavailable(problem) from None
            hidden.chmod(files.PUBLIC)  # other users may share the folder
            files.flush(hidden)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}; {folder}") from None


def _copy(url: str, path: Path, timeout: float) -> None:
    with path.open("wb") as file, urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310
        size = answer.length or 0
        with wrap_file(answer, total=size, description=path.name, console=terminal.console(stderr=True)) as source:
            shutil.copyfileobj(source, file)
        if size and file.tell() != size:
            raise OSError(f"the connection was closed after {file.tell()} of {size} bytes")


def check_unpacked(path: Path, sha256: str) -> None:
    """Raise OSError if the content of a gzipped file has another SHA-256 sum."""
    try:
        with gzip.open(path) as unpacked:
            digest = hashlib.file_digest(unpacked, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise OSError(f"the download cannot be unpacked ({error})") from None
    if digest != sha256:
        raise OSError("the download is not the published file (its SHA-256 sum differs)")
