"""A package: the files of one version, with a manifest of their SHA-256 sums.

In the store its files are blobs and its manifest is a blob too, whose digest stands in the version's row. A folder
becomes a package when `manifest.json`, written last, lies in it.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from registry import names
from registry.blobs import BlobStore, flush, make_folder, write_flushed
from tailorbird.errors import Corrupt, InvalidInput, NotFound, Unavailable

MANIFEST = "manifest.json"
REQUIRED = frozenset(
    {
        "model.onnx",
        "signature.json",
        "baseline.json",
        "heldout.npy",
        "config.yaml",
        "checkpoint.safetensors",
        "environment.txt",
        "curves.json",
        "curves.png",
        "confusion.png",
    }
)
OPTIONAL = frozenset({"estimator.json", "model.int8.onnx"})


def put(blobs: BlobStore, files: Mapping[str, bytes], about: Mapping[str, Any]) -> str:
    """Store the files and the manifest that names them, with `about` in it; returns the manifest's digest."""
    missing, unknown = REQUIRED - files.keys(), files.keys() - REQUIRED - OPTIONAL
    if missing or unknown:
        raise InvalidInput(
            "package", f"misses {sorted(missing) or 'nothing'}, has unknown {sorted(unknown) or 'nothing'}"
        )
    sums = {name: {"sha256": blobs.put(data), "size": len(data)} for name, data in sorted(files.items())}
    return blobs.put(encode({**about, "files": sums}))


def manifest(blobs: BlobStore, digest: str) -> dict[str, Any]:
    """The manifest stored under `digest`; raises Corrupt where it is not whole."""
    try:
        return _parse(blobs.get(digest), blobs.path(digest))
    except Corrupt as error:
        raise Corrupt(f"{MANIFEST}: {error}") from None


def file(blobs: BlobStore, digest: str, name: str) -> bytes:
    """One file of the package whose manifest is `digest`; raises NotFound for an optional one that is not in it."""
    files = manifest(blobs, digest)["files"]
    if name not in files:
        raise NotFound(name, f"is not in this package, which has {', '.join(files)}")
    return _get(blobs, name, files[name])


def problems(blobs: BlobStore, digest: str) -> Iterator[str]:
    """What is wrong with a stored package, a sentence for each file; nothing where it verifies."""
    try:
        files = manifest(blobs, digest)["files"]
    except Corrupt as error:
        yield str(error)
        return
    for name, entry in files.items():
        try:
            _get(blobs, name, entry)
        except Corrupt as error:
            yield str(error)


def write(blobs: BlobStore, digest: str, folder: Path) -> Path:
    """Write a package out as `folder`, which must not exist; it appears whole or not at all."""
    return _place(_contents(blobs, digest), folder)


def read(folder: Path, digest: str) -> dict[str, Any]:
    """The manifest of a package folder, after every file was compared with it; raises Corrupt that names the file."""
    data = _bytes(folder, MANIFEST)
    if hashlib.sha256(data).hexdigest() != digest:
        raise Corrupt(f"{folder / MANIFEST} is not the manifest that the registry names")
    found = _parse(data, folder / MANIFEST)
    for name, entry in found["files"].items():
        if hashlib.sha256(_bytes(folder, name)).hexdigest() != entry["sha256"]:
            raise Corrupt(f"{folder / name} does not match its SHA-256 sum")
    return found


def fetch(blobs: BlobStore, digest: str, cache: Path) -> Path:
    """A verified package folder in the cache, written there first where it is missing or damaged."""
    folder = cache / "packages" / digest
    try:
        read(folder, digest)
    except Corrupt:
        with _locked(folder.parent):
            try:
                read(folder, digest)  # another process may have been first, and may be loading it now
            except Corrupt:
                files = _contents(blobs, digest)  # what lies there stays where this is not to be had
                for left in (folder, *folder.parent.glob(f".{digest}-*")):  # damaged, or by a process that died here
                    shutil.rmtree(left, ignore_errors=True)
                _place(files, folder)
    return folder


def encode(value: Any) -> bytes:
    """JSON as it is stored: sorted keys, so that equal content has an equal digest."""
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode()


def _parse(data: bytes, where: Path) -> dict[str, Any]:
    try:
        found = dict(json.loads(data))
        for name, entry in found["files"].items():
            names.check("file", name)  # a forged one could lead anywhere
            names.check("sha256", entry["sha256"])
    except (ValueError, LookupError, TypeError, AttributeError, InvalidInput):
        raise Corrupt(f"{where} is not the manifest of a package") from None
    return found


def _get(blobs: BlobStore, name: str, entry: Mapping[str, Any]) -> bytes:
    try:
        return blobs.get(entry["sha256"])
    except Corrupt as error:
        raise Corrupt(f"{name}: {error}") from None


def _contents(blobs: BlobStore, digest: str) -> dict[str, bytes]:
    """Every file of a stored package, verified, and the manifest last."""
    files = manifest(blobs, digest)["files"]
    return {name: _get(blobs, name, entry) for name, entry in files.items()} | {MANIFEST: blobs.get(digest)}


def _place(files: Mapping[str, bytes], folder: Path) -> Path:
    try:
        make_folder(folder.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name, data in files.items():
                write_flushed(temporary / name, data)
            temporary.chmod(0o755)
            temporary.rename(folder)
            flush(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror}") from None
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time in; the lock ends with the process, however that ends."""
    try:
        make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise Corrupt(f"{folder / name} cannot be read: {error.strerror}") from None
