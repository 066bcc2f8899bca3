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
    """The problems of a version, a sentence each, which keep it from every alias; empty if it verifies."""
    try:
        return list(examined(registry, version).problems)
    except Corrupt as error:  # the row itself
        return [str(error)]


def examined(registry: Registry, version: Version) -> Evidence:
    """The evidence of a fully verified version.

    Files are compared with their sums, the manifest with the row, the signature with the key and, if all these match,
    figures with the version's own answers.
    """
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
    """The evidence of a version of which only manifest, row and the files with evidence are verified."""
    try:
        manifest = packages.manifest(registry.blobs, version.manifest)
        check(version, manifest)
    except Corrupt as error:
        return evidence.unreadable(version, [str(error)])
    return evidence.read(registry.blobs, version, manifest)


def check(version: Version, manifest: Manifest) -> None:
    """Raise Corrupt unless this is the manifest that was registered as this version.

    Every reader of a package calls this: files are compared with the manifest, but the manifest itself only with its
    digest.
    """
    for problem in _differences(manifest, version):
        raise Corrupt(f"{version}: {problem}")


def check_signature(public_key_path: Path, version: Version) -> None:
    """Raise Corrupt unless the version was signed with the private key of this public one."""
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
