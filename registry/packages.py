"""A package: the files of one version, with a manifest of their SHA-256 sums.

In the store its files are blobs and its manifest is a blob too, whose digest stands in the version's row. A folder
becomes a package when `manifest.json`, written last, lies in it.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from registry.blobs import BlobStore, write_flushed
from tailorbird.errors import Corrupt, InvalidInput, Unavailable

MANIFEST = "manifest.json"
REQUIRED = frozenset({"model.onnx", "signature.json", "baseline.json", "heldout.npy", "config.yaml"}) | {
    "checkpoint.safetensors",
    "environment.txt",
    "curves.json",
    "curves.png",
    "confusion.png",
}
OPTIONAL = frozenset({"estimator.json", "model.int8.onnx"})


def put(blobs: BlobStore, files: Mapping[str, bytes], about: Mapping[str, Any]) -> str:
    """Store the files and the manifest that names them, with `about` in it; returns the manifest's digest."""
    missing, unknown = REQUIRED - files.keys(), files.keys() - REQUIRED - OPTIONAL
    if missing or unknown:
        raise InvalidInput(
            "package", f"misses {sorted(missing) or 'nothing'}, has unknown {sorted(unknown) or 'nothing'}"
        )
    sums = {name: {"sha256": blobs.put(data), "size": len(data)} for name, data in sorted(files.items())}
    return blobs.put(encode({"files": sums, **about}))


def manifest(blobs: BlobStore, digest: str) -> dict[str, Any]:
    """The manifest stored under `digest`; raises Corrupt where it is not whole."""
    try:
        return dict(json.loads(blobs.get(digest)))
    except Corrupt as error:
        raise Corrupt(f"{MANIFEST}: {error}") from None


def file(blobs: BlobStore, digest: str, name: str) -> bytes:
    """One file of the package whose manifest is `digest`."""
    entry = manifest(blobs, digest)["files"][name]
    try:
        return blobs.get(entry["sha256"])
    except Corrupt as error:
        raise Corrupt(f"{name}: {error}") from None


def problems(blobs: BlobStore, digest: str) -> Iterator[str]:
    """What is wrong with a stored package, a sentence for each file; nothing where it verifies."""
    try:
        files = manifest(blobs, digest)["files"]
    except Corrupt as error:
        yield str(error)
        return
    for name, entry in files.items():
        try:
            size = len(blobs.get(entry["sha256"]))
        except Corrupt as error:
            yield f"{name}: {error}"
        else:
            if size != entry["size"]:
                yield f"{name}: has {size} bytes, not {entry['size']}"


def write(blobs: BlobStore, digest: str, folder: Path) -> Path:
    """Write a package out as `folder`, which must not exist; it appears whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name in manifest(blobs, digest)["files"]:
                (temporary / name).write_bytes(file(blobs, digest, name))
            write_flushed(temporary / MANIFEST, blobs.get(digest))
            temporary.chmod(0o755)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror}") from None
    return folder


def read(folder: Path, digest: str) -> dict[str, Any]:
    """The manifest of a package folder, after every file was compared with it; raises Corrupt that names the file."""
    data = _bytes(folder, MANIFEST)
    if hashlib.sha256(data).hexdigest() != digest:
        raise Corrupt(f"{folder / MANIFEST} is not the manifest that the registry names")
    found: dict[str, Any] = json.loads(data)
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
        shutil.rmtree(folder, ignore_errors=True)
        try:
            write(blobs, digest, folder)
        except Unavailable:
            read(folder, digest)  # another process may have been first
    return folder


def encode(value: Any) -> bytes:
    """JSON as it is stored: sorted keys, so that equal content has an equal digest."""
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode()


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise Corrupt(f"{folder / name} cannot be read: {error.strerror}") from None
