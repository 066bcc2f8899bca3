"""A package as an OCI image layout, which `oras`, `skopeo` and container registries copy unchanged.

It is one artifact: the package's `manifest.json` is its config, each file is a layer with its name as title. The
layout's reference, which container registries call a tag, is the version's number. Format:
https://github.com/opencontainers/image-spec, image-layout.md and manifest.md.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry import packages
from registry.exchange import carried
from registry.exchange.carried import Carried
from registry.storage.blobs import BlobStore
from tailorbird.errors import Corrupt
from tailorbird.files import flush, write_chunks
from tailorbird.package.manifest import MANIFEST, Entry, Manifest, shown
from tailorbird.package.record import encode, json_object

LAYOUT, INDEX = "oci-layout", "index.json"
LAYOUT_VERSION = "1.0.0"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
IMAGE_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.tailorbird.package.v1"
MANIFEST_TYPE = "application/vnd.tailorbird.package.manifest.v1+json"
FILE_TYPES = {".json": "application/json", ".yaml": "application/yaml", ".png": "image/png", ".txt": "text/plain"}
ANY_TYPE = "application/octet-stream"
TITLE = "org.opencontainers.image.title"
NUMBER = "org.opencontainers.image.version"
CREATED = "org.opencontainers.image.created"
REFERENCE = "org.opencontainers.image.ref.name"
_SHA256 = "sha256"
_IMAGE = "the artifact's manifest"


def write(blobs: BlobStore, digest: str, number: int, folder: Path) -> None:
    """Write a stored package as a layout into an empty folder, flushed to disk."""
    about = packages.manifest(blobs, digest)
    config = _descriptor(MANIFEST_TYPE, digest, len(blobs.get(digest)))
    image = encode(_image(about, config, number))
    held = folder / "blobs" / "sha256"
    held.mkdir(parents=True)
    for name, sha256 in {MANIFEST: digest, **{name: entry.sha256 for name, entry in about.files.items()}}.items():
        if not (held / sha256).exists():  # two files may have equal bytes
            with packages.named(name):
                write_chunks(held / sha256, blobs.chunks(sha256))
    sha256 = hashlib.sha256(image).hexdigest()
    write_chunks(held / sha256, [image])
    named = {**_descriptor(IMAGE_TYPE, sha256, len(image), {REFERENCE: str(number)}), "artifactType": ARTIFACT_TYPE}
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [named]}
    write_chunks(folder / INDEX, [encode(index)])
    write_chunks(folder / LAYOUT, [json.dumps({"imageLayoutVersion": LAYOUT_VERSION}).encode()])
    for inner in (held, held.parent, folder):
        flush(inner)


def is_layout(folder: Path) -> bool:
    """Whether a folder is marked as a layout."""
    return (folder / LAYOUT).is_file()


def read(folder: Path) -> Carried:
    """Read a layout that holds one package; raises Corrupt if it is not complete and valid.

    Other files in its folder are ignored: the format allows unreferenced blobs.
    """
    layout = json_object(LAYOUT, carried.small_file(folder / LAYOUT, LAYOUT))
    if layout.get("imageLayoutVersion") != LAYOUT_VERSION:
        raise Corrupt(f"{LAYOUT} is not of version {LAYOUT_VERSION}")
    for part in ("blobs", "blobs/sha256"):
        if (folder / part).is_symlink():
            raise Corrupt(f"{part} is a link")
    image = _named_image(folder)
    config = _promised(MANIFEST, image.get("config"))
    carried.check_small(MANIFEST, config.size)
    digest, manifest = carried.parse(_blob(folder, MANIFEST, config))
    layers = _layers(image)
    for name, layer in layers.items():
        if layer != carried.promised(name, manifest.files):
            raise Corrupt(f"{name} is another file in {_IMAGE} than in {MANIFEST}")
    carried.check_complete(layers.keys(), manifest.files)
    files = {name: _blob(folder, name, layer) for name, layer in layers.items()}
    return Carried(digest, manifest, files, _number(image))


def _image(about: Manifest, config: Mapping[str, Any], number: int) -> dict[str, Any]:
    layers = [
        _descriptor(FILE_TYPES.get(Path(name).suffix, ANY_TYPE), entry.sha256, entry.size, {TITLE: name})
        for name, entry in about.files.items()
    ]
    return {
        "schemaVersion": 2,
        "mediaType": IMAGE_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": config,
        "layers": layers,
        "annotations": {TITLE: about.model, NUMBER: str(number), CREATED: about.created},
    }


def _descriptor(
    media_type: str, sha256: str, size: int, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    descriptor: dict[str, Any] = {"mediaType": media_type, "digest": f"{_SHA256}:{sha256}", "size": size}
    return descriptor if annotations is None else {**descriptor, "annotations": dict(annotations)}


def _named_image(folder: Path) -> dict[str, Any]:
    """The manifest of the one artifact in a layout."""
    named = json_object(INDEX, carried.small_file(folder / INDEX, INDEX)).get("manifests")
    if not (isinstance(named, list) and len(named) == 1):
        raise Corrupt(f"{INDEX} must name one package, not {len(named) if isinstance(named, list) else 'none'}")
    promised = _promised(_IMAGE, named[0])
    carried.check_small(_IMAGE, promised.size)
    image = json_object(_IMAGE, _blob(folder, _IMAGE, promised))
    if image.get("artifactType") != ARTIFACT_TYPE:
        raise Corrupt(f"{INDEX} does not name a package of type {ARTIFACT_TYPE}")
    return image


def _layers(image: Mapping[str, Any]) -> dict[str, Entry]:
    layers = image.get("layers")
    if not isinstance(layers, list):
        raise Corrupt(f"{_IMAGE} has no layers")
    entries: dict[str, Entry] = {}
    for layer in layers:
        name = _annotations(layer).get(TITLE)
        if not isinstance(name, str):
            raise Corrupt(f"{_IMAGE} has a layer without a name")
        if name in entries:
            raise Corrupt(f"{shown(name)} is in it more than once")
        entries[name] = _promised(shown(name), layer)
    return entries


def _promised(name: str, descriptor: Any) -> Entry:
    if not isinstance(descriptor, dict):
        raise Corrupt(f"{name} is not described")
    algorithm, digest = str(descriptor.get("digest")).partition(":")[::2]
    promised = {"sha256": digest if algorithm == _SHA256 else None, "size": descriptor.get("size")}
    return Entry.of(promised, name)


def _annotations(described: Any) -> Mapping[str, Any]:
    annotations = described.get("annotations") if isinstance(described, dict) else None
    return annotations if isinstance(annotations, dict) else {}


def _number(image: Mapping[str, Any]) -> int | None:
    number = _annotations(image).get(NUMBER)
    return int(number) if isinstance(number, str) and re.fullmatch(r"[1-9][0-9]{0,8}", number, re.ASCII) else None


def _blob(folder: Path, name: str, promised: Entry) -> bytes:
    return carried.take_file(folder / "blobs" / "sha256" / promised.sha256, name, promised)
