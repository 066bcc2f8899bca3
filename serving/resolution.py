"""Verified packages in the cache, and its record of the last served version."""

import json
from pathlib import Path
from typing import Any

from registry import packages, verification
from registry.core import Registry
from registry.names import Reference
from registry.version import Version
from tailorbird.errors import Corrupt
from tailorbird.files import as_unavailable, make_folder, write_flushed
from tailorbird.package.manifest import MANIFEST, Manifest

NOTES = "served"


def verified(registry: Registry, version: Version, cache: Path) -> Path:
    """The package's folder in the cache, fetched where it is not there whole; no file of it was changed.

    Raises Corrupt where the package does not verify, is that of another version, or was not signed with the key whose
    public half the settings name, Unavailable where it cannot be fetched.
    """
    if (key := registry.settings.public_key) is not None:
        verification.check_signature(key, version)
    folder = packages.fetch(registry.blobs, version.manifest, cache)
    verification.check(version, Manifest.parse((folder / MANIFEST).read_bytes()))
    return folder


def remember(cache: Path, reference: Reference, version: Version) -> None:
    """Note in the cache what is served under a reference, for a start without the registry."""
    path = _note(cache, reference)
    with as_unavailable(path):
        make_folder(path.parent)
    write_flushed(path, json.dumps(version.record()).encode())


def recall(cache: Path, reference: Reference) -> Version | None:
    """The version that was served last under this reference; None where none was."""
    return _read(_note(cache, reference))


def tidy(cache: Path, *serving: Version | None) -> None:
    """Remove old packages: neither these versions', nor what was served last under any reference, nor lately used.

    Raises Unavailable where the cache cannot be looked at.
    """
    noted = [_read(path) for path in (cache / NOTES).glob("*.json")]
    packages.discard(cache, {version.manifest for version in (*serving, *noted) if version is not None})


def decode(record: dict[str, Any]) -> Version:
    """A version from its record; raises Corrupt where it is none."""
    try:
        return Version.of(record).checked()
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"this is not the record of a version: {error!r}") from None


def _note(cache: Path, reference: Reference) -> Path:
    return cache / NOTES / f"{reference}.json"


def _read(note: Path) -> Version | None:
    try:
        return decode(json.loads(note.read_bytes()))
    except (OSError, ValueError, TypeError, Corrupt):
        return None
