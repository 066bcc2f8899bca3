"""Packages outside a registry, honest and not: what tests of carrying export, take apart and put together again."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from registry.exchange import oci
from tailorbird.package.manifest import MANIFEST
from tailorbird.package.record import encode

FORMS = {"folder": "out", "archive": "out.tar", "oci": "layout"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path; folders and links too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"folder or link"
        for path in sorted(folder.rglob("*"))
    }


def describe(files: dict[str, bytes], manifest: dict) -> dict:
    """A manifest that promises these files."""
    sums = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()}
    return {**manifest, "files": sums}


def write_folder(folder: Path, files: dict[str, bytes], manifest: dict) -> Path:
    folder.mkdir()
    for name, data in {**files, MANIFEST: packages_json(manifest)}.items():
        (folder / name).write_bytes(data)
    return folder


def write_archive(path: Path, entries: list[tuple[str | tarfile.TarInfo, bytes]], form=tarfile.USTAR_FORMAT) -> Path:
    """An archive of any entries, as other tools write it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for given, data in entries:
            header = tarfile.TarInfo(given) if isinstance(given, str) else given
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    data = buffer.getvalue()
    path.write_bytes(gzip.compress(data) if path.suffix != ".tar" else data)
    return path


def write_layout(folder: Path, files: dict[str, bytes], manifest: dict, change=lambda image, index: None) -> Path:
    """A layout of one artifact, after `change` had its way with its manifest and index."""
    held = folder / "blobs" / "sha256"
    held.mkdir(parents=True)

    def put(kind: str, data: bytes) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (held / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    layers = [{**put(oci.ANY_TYPE, data), "annotations": {oci.TITLE: name}} for name, data in files.items()]
    image = {
        "schemaVersion": 2, "mediaType": oci.IMAGE_TYPE, "artifactType": oci.ARTIFACT_TYPE,
        "config": put(oci.MANIFEST_TYPE, packages_json(manifest)), "layers": layers,
    }  # fmt: skip
    index = {"schemaVersion": 2, "manifests": []}
    change(image, index)
    index["manifests"].append(put(oci.IMAGE_TYPE, json.dumps(image).encode()))
    (folder / oci.INDEX).write_text(json.dumps(index))
    (folder / oci.LAYOUT).write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def packages_json(manifest: dict | bytes) -> bytes:
    return manifest if isinstance(manifest, bytes) else encode(manifest)
