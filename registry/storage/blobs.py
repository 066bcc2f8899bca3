"""Content-addressed files: a blob's name is the SHA-256 of its bytes, so it is written once and never changed."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tailorbird.errors import Corrupt

CHUNK = 2**20


@dataclass(frozen=True)
class Blob:
    """A blob in a listing; `modified` is when it was last put."""

    digest: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Leftover:
    """A temporary file of a writer that was killed or is still running."""

    place: str
    size: int
    modified: datetime


class BlobStore(ABC):
    """The interface of all stores. If a store cannot be read or written, methods raise Unavailable that says why."""

    read_only = False

    def put(self, data: bytes) -> str:
        """Store `data`; returns its digest."""
        return self.put_all([data])[0]

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Store each of `contents`; returns their digests in the same order."""
        digests = [hashlib.sha256(data).hexdigest() for data in contents]
        self.write(dict(zip(digests, contents, strict=True)))
        return digests

    @abstractmethod
    def write(self, blobs: Mapping[str, bytes]) -> None:
        """Store blobs by their digests, durably. Existing blobs get a new time, and damaged ones are repaired."""

    def get(self, digest: str) -> bytes:
        """The bytes stored under `digest`; raises Corrupt if they are missing or changed."""
        return b"".join(self.chunks(digest))

    def verify(self, digest: str) -> None:
        """Read a whole blob; raises Corrupt if it is missing or changed."""
        for _ in self.chunks(digest):
            pass

    def chunks(self, digest: str) -> Iterator[bytes]:
        """The chunks of a blob, verified only at the end, when Corrupt may still be raised."""
        hasher = hashlib.sha256()
        for chunk in self._read(digest):
            hasher.update(chunk)
            yield chunk
        if hasher.hexdigest() != digest:
            raise Corrupt(f"{self.place(digest)} does not match its SHA-256 sum")

    @abstractmethod
    def place(self, digest: str) -> str:
        """The path or URL of a blob, for messages."""

    @abstractmethod
    def holds(self, *digests: str) -> bool:
        """Whether all these blobs exist, without reading them."""

    @abstractmethod
    def listing(self) -> Iterator[Blob]:
        """Every blob, sorted by digest."""

    @abstractmethod
    def delete(self, digests: Iterable[str]) -> None:
        """Remove blobs; missing ones are ignored."""

    @abstractmethod
    def leftovers(self) -> Iterator[Leftover]:
        """Temporary files, left by killed writers or still being written; their age distinguishes them."""

    @abstractmethod
    def discard(self, leftovers: Iterable[Leftover]) -> None:
        """Remove leftovers; missing ones are ignored."""

    @abstractmethod
    def _read(self, digest: str) -> Iterator[bytes]:
        """The content under `digest`, in chunks of at most `CHUNK` bytes; raises Corrupt if it is missing."""
