"""A package from outside: everything is checked before it is registered.

Its own claims are not trusted. No file is read beyond its size in the manifest, which is bounded, and every file must
match its SHA-256 sum. Any violation raises Corrupt that names the entry.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

from registry import names
from registry.storage.blobs import CHUNK
from tailorbird.errors import Corrupt, InvalidInput
from tailorbird.package.manifest import MANIFEST, Entry, Manifest, shown
from tailorbird.package.record import json_object

LARGEST_JSON = 2**20
LARGEST = 2**30
"""The most bytes of all files of a package together: an import holds them in memory."""
DEEPEST = 32


class Readable(Protocol):
    """A readable stream; `read` returns at most the given number of bytes, and none at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, eq=False)
class Carried:
    """A verified package; `digest` is the SHA-256 sum of its manifest, `number` that of its version, if known."""

    digest: str
    manifest: Manifest
    files: dict[str, bytes]
    number: int | None = None


def parse(data: bytes) -> tuple[str, Manifest]:
    """Parse a manifest; `digest` is its own SHA-256 sum."""
    content = json_object(MANIFEST, data)
    _check_plain([content.get(key) for key in ("created", "lineage", "evidence")])
    manifest = Manifest.of(content)
    try:
        names.check("model", manifest.model)
    except InvalidInput as error:
        raise Corrupt(f"{MANIFEST}: {error}") from None
    total = sum(entry.size for entry in manifest.files.values())
    if total > LARGEST:
        raise Corrupt(f"its files have {total:,} bytes in all; accepted: at most {LARGEST:,}")
    return hashlib.sha256(data).hexdigest(), manifest


def promised(name: str, files: Mapping[str, Entry]) -> Entry:
    """The manifest's entry of a file."""
    if name not in files:
        raise Corrupt(f"{shown(name)} is not in its {MANIFEST}")
    return files[name]


def check_complete(names: Set[str], files: Mapping[str, Entry]) -> None:
    """Refuse a package that lacks a file of its manifest."""
    for name in sorted(files.keys() - names):
        raise Corrupt(f"{name} is missing")


def take(stream: Readable, name: str, entry: Entry) -> bytes:
    """The bytes of one file, read up to its size."""
    taken, digest = bytearray(), hashlib.sha256()
    while chunk := stream.read(min(CHUNK, entry.size - len(taken))):
        taken += chunk
        digest.update(chunk)
    if len(taken) < entry.size:
        raise Corrupt(f"{name} ends after {len(taken):,} of {entry.size:,} bytes")
    if digest.hexdigest() != entry.sha256:
        raise Corrupt(f"{name} does not match its SHA-256 sum")
    return bytes(taken)


def take_file(path: Path, name: str, entry: Entry) -> bytes:
    """The same for a file in a folder, which must have this size."""
    with opened(path, name) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size != entry.size:
            raise Corrupt(f"{name} has {size:,} bytes, but {MANIFEST} lists {entry.size:,}")
        return take(stream, name, entry)


def small_file(path: Path, name: str) -> bytes:
    """A JSON file, whose size is not known in advance."""
    with opened(path, name) as stream:
        size = os.fstat(stream.fileno()).st_size
        check_small(name, size)
        return stream.read(size)


def check_small(name: str, size: int) -> None:
    """Refuse JSON files that are too large."""
    if not 0 <= size <= LARGEST_JSON:
        raise Corrupt(f"{name} has {size:,} bytes; accepted: at most {LARGEST_JSON:,}")


@contextmanager
def opened(path: Path, name: str) -> Iterator[FileIO]:
    """Open a plain file: links are not followed, and a pipe does not block."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Corrupt(f"{name} is missing") from None
    except OSError as error:
        problem = "is a link" if path.is_symlink() else f"cannot be read: {error.strerror}"
        raise Corrupt(f"{name} {problem}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Corrupt(f"{name} is not a plain file")
        with FileIO(descriptor, closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _check_plain(value: Any, depth: int = DEEPEST) -> None:
    """Refuse what cannot be printed from records: control characters, broken Unicode, deep nesting."""
    if not depth:
        raise Corrupt(f"{MANIFEST} is nested more than {DEEPEST} deep")
    if isinstance(value, str) and not value.isprintable():
        raise Corrupt(f"{MANIFEST} holds a text that cannot be printed: {shown(value)}")
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for member in inner:
        _check_plain(member, depth - 1)
