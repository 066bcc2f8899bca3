"""Downloads with a progress bar; a file appears under its name only when it is whole."""

import http.client
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from rich.progress import wrap_file

from tailorbird.errors import Unavailable


def fetch(url: str, path: Path, timeout: float) -> None:
    """Download `url` to `path`; raises Unavailable after `timeout` seconds without an answer."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written: {error.strerror}; TAILORBIRD_DATA_DIR names the folder of data sets"
        ) from None
    try:
        _copy(url, descriptor, path.name, timeout)
        Path(temporary).replace(path)
    except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
        reason = getattr(error, "reason", None) or error
        raise Unavailable(f"{url} cannot be downloaded: {reason}; put the file at {path} or try again") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _copy(url: str, descriptor: int, name: str, timeout: float) -> None:
    with os.fdopen(descriptor, "wb") as file, urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310
        size = int(answer.headers.get("content-length") or 0)
        with wrap_file(answer, total=size, description=name) as source:
            shutil.copyfileobj(source, file)
        if size and file.tell() != size:
            raise OSError(f"the connection broke off after {file.tell()} of {size} bytes")
