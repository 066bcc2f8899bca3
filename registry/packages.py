"""A package: the files of one version, with a manifest of their SHA-256 sums.

In the store its files and its manifest are blobs; the version's row has the digest of the manifest. A folder becomes a
package by `manifest.json`, which is written last.
"""

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from registry.storage.blobs import BlobStore
from tailorbird import files
from tailorbird.errors import Corrupt, InvalidInput, NotFound
from tailorbird.files import as_unavailable
from tailorbird.package.manifest import MANIFEST, OPTIONAL, REQUIRED, About, Entry, Manifest

CACHED = "packages"
SPARED = 5
"""The number of recently used packages in a cache, so that a rollback works without the store."""


def put(blobs: BlobStore, files: Mapping[str, bytes], about: About) -> str:
    """Store the files and the manifest that names them, with `about` in it; returns the manifest's digest."""
    missing, unknown = REQUIRED - files.keys(), files.keys() - REQUIRED - OPTIONAL
    if missing or unknown:
        raise InvalidInput(
            "package", f"misses {sorted(missing) or 'nothing'}, has unknown {sorted(unknown) or 'nothing'}"
        )
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    entries = {name: Entry(sha256=digests[name], size=len(data)) for name, data in files.items()}
    described = Manifest(**dict(about), files=entries).encode()
    digest = hashlib.sha256(described).hexdigest()
    blobs.write({**{digests[name]: data for name, data in files.items()}, digest: described})
    return digest


def manifest(blobs: BlobStore, digest: str) -> Manifest:
    """The manifest stored under `digest`; raises Corrupt if it is damaged."""
    with named(MANIFEST):
        data = blobs.get(digest)
    return Manifest.parse(data)


def file(blobs: BlobStore, digest: str, name: str) -> bytes:
    """One file of the package whose manifest is `digest`; raises NotFound for an optional one that is not in it."""
    return content(blobs, manifest(blobs, digest), name)


def content(blobs: BlobStore, about: Manifest, name: str) -> bytes:
    """The same for a manifest that was read already."""
    if name not in about.files:
        raise NotFound(name, f"is not in this package, which has {', '.join(about.files)}")
    with named(name):
        return blobs.get(about.files[name].sha256)


def held(blobs: BlobStore, digest: str) -> bool:
    """Whether the manifest and every file it names are in the store, without reading the files."""
    try:
        files = manifest(blobs, digest).files
    except Corrupt:
        return False
    return blobs.holds(*{entry.sha256 for entry in files.values()})


def problems(blobs: BlobStore, about: Manifest) -> Iterator[str]:
    """The problems of a stored package's files, a sentence for each; empty if they verify."""
    for name, entry in about.files.items():
        try:
            with named(name):
                blobs.verify(entry.sha256)
        except Corrupt as error:
            yield str(error)


def write(blobs: BlobStore, digest: str, folder: Path) -> Path:
    """Write a package to `folder`, which must not exist, atomically."""
    about = manifest(blobs, digest)
    with as_unavailable(folder), files.new_folder(folder) as hidden:
        _copy(blobs, digest, about, hidden)
    return folder


def read(folder: Path, digest: str) -> Manifest:
    """The manifest of a package folder, after verifying every file; raises Corrupt that names the file."""
    path = folder / MANIFEST
    with _opened(path) as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != digest:
        raise Corrupt(f"{path} is not the manifest that the registry names")
    content = Manifest.parse(data)
    for name, entry in content.files.items():
        with _opened(folder / name) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
                raise Corrupt(f"{folder / name} does not match its SHA-256 sum")
    for extra in sorted({path.name for path in folder.iterdir()} - content.files.keys() - {MANIFEST}):
        raise Corrupt(f"{folder / extra} is not in the manifest of its package")
    return content


def fetch(blobs: BlobStore, digest: str, cache: Path) -> Path:
    """A verified package folder in the cache, written first if it is missing or damaged.

    A store that hangs blocks only the caller: the cache is locked only briefly.
    """
    folder = cache / CACHED / digest
    try:
        read(folder, digest)
    except Corrupt:
        about = manifest(blobs, digest)
        with as_unavailable(folder.parent), _workplace(folder) as hidden:
            _copy(blobs, digest, about, hidden)
            _install(hidden, folder, digest)
    with suppress(OSError):  # such as in a read-only cache
        os.utime(folder)  # marks the last use
    return folder


def discard(cache: Path, needed: Collection[str]) -> None:
    """Remove packages from the cache, except those of these manifests and the `SPARED` that were used last.

    Raises Unavailable if the cache cannot be read.
    """
    folder = cache / CACHED
    with as_unavailable(folder), files.locked(folder):
        dated = sorted(((path.stat().st_mtime_ns, path) for path in folder.iterdir()), reverse=True)
        for _, path in dated[SPARED:]:
            if path.name not in needed and not files.in_use(path):
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Prefix an error of a blob with the name of its file."""
    try:
        yield
    except Corrupt as error:
        raise Corrupt(f"{name}: {error}") from None


def _copy(blobs: BlobStore, digest: str, about: Manifest, folder: Path) -> None:
    """Write the files of a stored package into an empty folder, verified, and its manifest last."""
    entries = {name: entry.sha256 for name, entry in about.files.items()}
    for name, sha256 in (*entries.items(), (MANIFEST, digest)):
        with named(name):
            files.write_chunks(folder / name, blobs.chunks(sha256))


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A hidden folder beside a package of the cache, locked while it is written."""
    with ExitStack() as stack:
        with files.locked(folder.parent):  # else it would look like the leftover of a dead process
            hidden = stack.enter_context(files.hidden_folder(folder))
            stack.enter_context(files.locked(hidden))
        try:
            yield hidden
        finally:
            with files.locked(folder.parent):
                stack.close()


def _install(hidden: Path, folder: Path, digest: str) -> None:
    """Rename a written package into the cache, unless another process was first, and may be loading it now."""
    with files.locked(folder.parent):
        for left in folder.parent.glob(f".{digest}-*"):
            if not files.in_use(left):  # by a process that died
                shutil.rmtree(left, ignore_errors=True)
        try:
            read(folder, digest)
        except Corrupt:
            shutil.rmtree(folder, ignore_errors=True)
            files.name_folder(hidden, folder)


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise Corrupt(f"{path} cannot be read: {error.strerror}") from None
