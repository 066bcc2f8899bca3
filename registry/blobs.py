"""Content-addressed files: a blob's name is the SHA-256 of its bytes, so it is written once and never changed."""

import hashlib
import os
import tempfile
from pathlib import Path

from tailorbird.errors import Corrupt, Unavailable


class BlobStore:
    """Blobs in a folder, `blobs/ab/abcdef…`; each is flushed to disk before its name appears."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "blobs"

    def path(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest

    def put(self, data: bytes) -> str:
        """Store `data` and return its digest; raises Unavailable where it cannot be written."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        try:
            make_folder(path.parent)
            if not _holds(path, digest):
                write_flushed(path, data)
            for folder in (path.parent, self.folder):  # also where another process made them and died before this
                flush(folder)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}") from None
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes stored under `digest`; raises Corrupt where they are missing or changed."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise Corrupt(f"{path} is missing") from None
        except OSError as error:
            raise Unavailable(f"{path} cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise Corrupt(f"{path} does not match its SHA-256 sum")
        return data


def write_flushed(path: Path, data: bytes) -> None:
    """Write a file that is seen whole or not at all, also after a power cut."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    flush(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, so that they are still there after a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush(folder.parent)


def flush(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holds(path: Path, digest: str) -> bool:
    # the same bytes may lie there damaged: then they are written anew
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
