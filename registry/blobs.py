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
            if not _holds(path, digest):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_flushed(path, data)
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
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _holds(path: Path, digest: str) -> bool:
    # the same bytes may lie there damaged: then they are written anew
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
