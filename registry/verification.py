"""Verification: whether a stored version is what was registered, by its files, row, signature and claims."""

from pathlib import Path

from registry import evidence, packages, signing
from registry.core import Registry
from registry.evidence import Evidence
from registry.version import Version
from tailorbird.errors import Corrupt
from tailorbird.package.manifest import MANIFEST, Manifest
from tailorbird.package.signature import Signature


def verify(registry: Registry, version: Version) -> list[str]:
    """What is wrong with a version, a sentence each: what keeps it from every alias; else empty."""
    try:
        return list(examined(registry, version).problems)
    except Corrupt as error:  # the row itself
        return [str(error)]


def examined(registry: Registry, version: Version) -> Evidence:
    """The evidence of a version all of which was looked at: files against sums, manifest against row, signature against
    key, and, where nothing is wrong with these, figures against its own answers."""
    try:
        manifest = packages.manifest(registry.blobs, version.manifest)
        problems = list(packages.problems(registry.blobs, manifest)) or _differences(manifest, version)
    except Corrupt as error:
        problems = [str(error)]
    if registry.settings.public_key is not None:
        try:
            check_signature(registry.settings.public_key, version)
        except Corrupt as error:
            problems.append(str(error))
    return evidence.unreadable(version, problems) if problems else evidence.read(registry.blobs, version, manifest)


def read(registry: Registry, version: Version) -> Evidence:
    """The evidence of a version of which no more is looked at than manifest, row and the files that are evidence."""
    try:
        manifest = packages.manifest(registry.blobs, version.manifest)
        check(version, manifest)
    except Corrupt as error:
        return evidence.unreadable(version, [str(error)])
    return evidence.read(registry.blobs, version, manifest)


def check(version: Version, manifest: Manifest) -> None:
    """Raise Corrupt unless this is the manifest of what was registered as this version.

    Whoever reads a package asks this: its files are compared with the manifest, and the manifest only with its digest.
    """
    for problem in _differences(manifest, version):
        raise Corrupt(f"{version}: {problem}")


def check_signature(public_key_path: Path, version: Version) -> None:
    """Raise Corrupt unless the version was signed with the private key that belongs to this public one."""
    if version.signature is None:
        raise Corrupt(f"{version} is not signed, and {public_key_path} requires a signature")
    if not signing.verifies(public_key_path, version.signature, version.manifest, version.model):
        raise Corrupt(
            f"{version} has a signature that {public_key_path} does not verify: it was made by another key, or for "
            f"another manifest or model"
        )


def signature(registry: Registry, version: Version) -> Signature:
    """The inputs and outputs of the model."""
    manifest = packages.manifest(registry.blobs, version.manifest)
    check(version, manifest)
    return Signature.parse(packages.content(registry.blobs, manifest, Signature.file))


def _differences(manifest: Manifest, version: Version) -> list[str]:
    return [
        f"{MANIFEST}: its {key} differs from that of the version's row"
        for key in ("model", "created", "evidence", "lineage")
        if getattr(manifest, key) != getattr(version, key)
    ]
