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
    """The package's verified folder in the cache, fetched if it is not complete.

    Raises Corrupt if the package does not verify, is that of another version, or was not signed with the key whose
    public half is in the settings, Unavailable if it cannot be fetched.
    """
    if (key := registry.settings.public_key) is not None:
        verification.check_signature(key, version)
    folder = packages.fetch(registry.blobs, version.manifest, cache)
    verification.check(version, Manifest.parse((folder / MANIFEST).read_bytes()))
    return folder


def remember(cache: Path, reference: Reference, version: Version) -> None:
    """Record in the cache which version is served under a reference, for a start without the registry."""
    path = _note(cache, reference)
    with as_unavailable(path):
        make_folder(path.parent)
    write_flushed(path, json.dumps(version.record()).encode())


def recall(cache: Path, reference: Reference) -> Version | None:
    """The version that was served last under this reference, if any."""
    return _read(_note(cache, reference))


def tidy(cache: Path, *serving: Version | None) -> None:
    """Remove old packages, except of these versions, of those served last under any reference, and those used lately.

    Raises Unavailable if the cache cannot be read.
    """
    noted = [_read(path) for path in (cache / NOTES).glob("*.json")]
    packages.discard(cache, {version.manifest for version in (*serving, *noted) if version is not None})


def decode(record: dict[str, Any]) -> Version:
    """A version from its record; raises Corrupt if it is not one."""
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
