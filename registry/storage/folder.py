"""Blobs in a local folder."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from registry.storage.blobs import CHUNK, Blob, BlobStore, Leftover
from tailorbird.errors import Corrupt, Unavailable
from tailorbird.files import HIDDEN, as_unavailable, flush, make_folder, write_all
from tailorbird.settings import writable

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class FolderStore(BlobStore):
    """Blobs as `blobs/ab/abcdef…`; each is flushed to disk before its name appears."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "blobs"
        self.read_only = not writable(self.folder)

    def path(self, digest: str) -> Path:
        return self.folder.joinpath(digest[:2], digest)

    def place(self, digest: str) -> str:
        return str(self.path(digest))

    def write(self, blobs: Mapping[str, bytes]) -> None:
        absent = {}
        for digest, data in blobs.items():
            path = self.path(digest)
            with as_unavailable(path):
                make_folder(self.folder)
                path.parent.mkdir(exist_ok=True)  # the folder is flushed below, once for all of them
                if not _renewed(path, digest):
                    absent[path] = data
        write_all(absent)
        for folder in {folder for digest in blobs for folder in (self.path(digest).parent, self.folder)}:
            with as_unavailable(folder):
                flush(folder)  # also if another process created a name in it, and died before flushing

    def holds(self, *digests: str) -> bool:
        with self._readable():
            return all(self.path(digest).exists() for digest in digests)

    def listing(self) -> Iterator[Blob]:
        for path, status in self._files():
            if _DIGEST.fullmatch(path.name):
                yield Blob(path.name, status.st_size, _modified(status))

    def delete(self, digests: Iterable[str]) -> None:
        _remove(self.path(digest) for digest in digests)

    def leftovers(self) -> Iterator[Leftover]:
        for path, status in self._files():
            if path.name.startswith(HIDDEN):
                yield Leftover(str(path), status.st_size, _modified(status))

    def discard(self, leftovers: Iterable[Leftover]) -> None:
        _remove(Path(leftover.place) for leftover in leftovers)

    def _read(self, digest: str) -> Iterator[bytes]:
        path = self.path(digest)
        try:
            with path.open("rb", buffering=0) as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except FileNotFoundError:
            if not self.folder.is_dir():  # an unmounted disk is not damage
                raise Unavailable(f"{path} cannot be read: there is no folder {self.folder}") from None
            raise Corrupt(f"{path} is missing") from None
        except OSError as error:
            raise Unavailable(f"{path} cannot be read: {error.strerror}") from None

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        with self._readable():
            for folder in sorted(self.folder.iterdir()) if self.folder.exists() else ():
                for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                    try:
                        yield path, path.stat()
                    except FileNotFoundError:
                        continue  # renamed or removed meanwhile

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(f"{self.folder} cannot be read: {error.strerror}") from None


def _renewed(path: Path, digest: str) -> bool:
    """Whether a blob is there undamaged; its time is renewed, so that no collection deletes it."""
    try:
        os.utime(path)
        with path.open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except (FileNotFoundError, PermissionError):  # the time of another user's file cannot be set, so it is replaced
        return False


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{path} cannot be removed: {error.strerror}") from None


def _modified(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)
