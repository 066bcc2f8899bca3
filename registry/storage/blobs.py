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
    """What a listing knows of a blob; `modified` is when it was last put."""

    digest: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Leftover:
    """A file without a name, of a writer that was killed or is still at work."""

    place: str
    size: int
    modified: datetime


class BlobStore(ABC):
    """What holds for every store. Where it cannot be read or written, each method raises Unavailable that says why."""

    read_only = False

    def put(self, data: bytes) -> str:
        """Store `data` and return its digest."""
        return self.put_all([data])[0]

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Store each of `contents` and return their digests in the same order."""
        digests = [hashlib.sha256(data).hexdigest() for data in contents]
        self.write(dict(zip(digests, contents, strict=True)))
        return digests

    @abstractmethod
    def write(self, blobs: Mapping[str, bytes]) -> None:
        """Store blobs by their digests, so that none is lost in a power cut.

        What is there already is made as young as what is new, and whole where it was damaged.
        """

    def get(self, digest: str) -> bytes:
        """The bytes stored under `digest`; raises Corrupt where they are missing or changed."""
        return b"".join(self.chunks(digest))

    def verify(self, digest: str) -> None:
        """Read a blob through; raises Corrupt where it is missing or changed."""
        for _ in self.chunks(digest):
            pass

    def chunks(self, digest: str) -> Iterator[bytes]:
        """The chunks of a blob, to be trusted only at the end, when Corrupt may still be raised."""
        hasher = hashlib.sha256()
        for chunk in self._read(digest):
            hasher.update(chunk)
            yield chunk
        if hasher.hexdigest() != digest:
            raise Corrupt(f"{self.place(digest)} does not match its SHA-256 sum")

    @abstractmethod
    def place(self, digest: str) -> str:
        """Where a blob lies, as messages name it."""

    @abstractmethod
    def holds(self, *digests: str) -> bool:
        """Whether all these blobs are there, without a look into them."""

    @abstractmethod
    def listing(self) -> Iterator[Blob]:
        """Every blob, in the order of the digests."""

    @abstractmethod
    def delete(self, digests: Iterable[str]) -> None:
        """Remove blobs; one that is not there is no error."""

    @abstractmethod
    def leftovers(self) -> Iterator[Leftover]:
        """Hidden files, left by killed writers or still being written; their age distinguishes them."""

    @abstractmethod
    def discard(self, leftovers: Iterable[Leftover]) -> None:
        """Remove leftovers; one that is not there is no error."""

    @abstractmethod
    def _read(self, digest: str) -> Iterator[bytes]:
        """What lies under `digest`, in pieces of at most `CHUNK` bytes; raises Corrupt where there is nothing."""
