"""Carrying versions from one registry to another: as a folder, as one archive, or as an OCI image layout."""

import os
from pathlib import Path
from typing import Literal

from registry import packages, verification, versions
from registry.core import Registry
from registry.exchange import archives, carried, oci
from registry.exchange.carried import Carried
from registry.version import Version
from tailorbird import files
from tailorbird.errors import Corrupt, InvalidInput
from tailorbird.package.baseline import Baseline
from tailorbird.package.lineage import Origin
from tailorbird.package.manifest import MANIFEST
from tailorbird.package.measurements import Measurements

Form = Literal["folder", "archive", "oci"]


def export(registry: Registry, version: Version, path: Path, form: Form = "folder") -> Path:
    """Write a version's package to `path`, which must not exist yet, atomically.

    The result is the package folder itself, an archive of it (see `archives.SUFFIXES`), or with `oci` an image layout.
    Raises Corrupt if the version is damaged, Unavailable if the path cannot be written.
    """
    path = path.absolute()
    if form == "archive":
        archives.check_suffix(path)
    if os.path.lexists(path):
        raise InvalidInput("path", f"{path} already exists; accepted: a new path")
    verification.check(version, packages.manifest(registry.blobs, version.manifest))
    if form == "folder":
        return packages.write(registry.blobs, version.manifest, path)
    with files.as_unavailable(path):
        if form == "archive":
            with files.new_file(path) as hidden:
                archives.write(registry.blobs, version.manifest, hidden)
        else:
            with files.new_folder(path) as hidden:
                oci.write(registry.blobs, version.manifest, version.number, hidden)
    return path


def import_version(registry: Registry, path: Path, who: str, model: str | None = None) -> Version:
    """Register what `export` wrote in another registry as the next version of its model, or of `model`.

    It is completely verified before anything is written here. It gets a new manifest, and so the signature of this
    registry's key, if any; its origin is recorded in its lineage as `origin`. Raises InvalidInput that names the
    invalid entry.
    """
    try:
        package = _read(path)
        _check_figures(package)
    except Corrupt as error:
        raise InvalidInput(str(path), str(error)) from None
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from None
    about = package.manifest
    lineage = about.lineage.model_copy(update={"origin": _origin(package)})
    return versions.register(
        registry, about.model if model is None else model, package.files, about.evidence, lineage, who
    )


def _read(path: Path) -> Carried:
    if path.is_dir():
        if oci.is_layout(path):
            return oci.read(path)
        if os.path.lexists(path / MANIFEST):
            return _read_folder(path)
    elif not path.exists():
        raise Corrupt("there is no such file or folder")
    elif archives.is_archive(path):
        return archives.read(path)
    raise Corrupt("is not a package; accepted: a folder, archive or OCI layout that `tailorbird registry export` wrote")


def _read_folder(folder: Path) -> Carried:
    digest, manifest = carried.parse(carried.small_file(folder / MANIFEST, MANIFEST))
    names = set()
    for path in folder.iterdir():
        if path.name != MANIFEST:
            carried.promised(path.name, manifest.files)
            names.add(path.name)
    carried.check_complete(names, manifest.files)
    files = {name: carried.take_file(folder / name, name, entry) for name, entry in manifest.files.items()}
    return Carried(digest, manifest, files)


def _check_figures(package: Carried) -> None:
    """Measurements in the manifest must agree with those in the files."""
    claimed = package.manifest.evidence
    known = Measurements.of_package(Baseline.parse(package.files[Baseline.file]), claimed)
    for name in Measurements.model_fields:
        if getattr(claimed, name) != getattr(known, name):
            raise Corrupt(
                f"{MANIFEST} says {name} {getattr(claimed, name)}, and {Baseline.file} {getattr(known, name)}"
            )


def _origin(package: Carried) -> Origin:
    about = package.manifest
    return Origin(
        model=about.model,
        manifest=package.digest,
        created=about.created,
        number=package.number,
        origin=about.lineage.origin,  # it was exported and imported before
    )
