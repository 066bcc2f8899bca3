"""`tailorbird registry export · import`."""

from pathlib import Path
from typing import Annotated

import typer

from registry import versions
from registry.exchange import carrying
from tailorbird import settings
from tailorbird.commands.options import AsJson, Ref, Who, open_registry, print_json
from tailorbird.errors import InvalidInput


def export(
    version: Ref,
    path: Annotated[Path, typer.Argument(help="Folder or archive to write.", show_default=False)],
    archive: Annotated[bool, typer.Option("--archive", help="One file: .tar, .tar.gz or .tgz.")] = False,
    oci: Annotated[bool, typer.Option("--oci", help="An OCI image layout, for container registries.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a version's package out as a folder, an archive, or an OCI image layout.

    Example: tailorbird registry export demo:1 demo-1.tar.gz --archive
    """
    if archive and oci:
        raise InvalidInput("--oci", "cannot be combined with --archive; give neither to write a folder")
    form: carrying.Form = "archive" if archive else "oci" if oci else "folder"
    with open_registry() as registry:
        resolved = versions.resolve(registry, version)
        written = carrying.export(registry, resolved, path, form)
    if as_json:
        print_json({"version": str(resolved), "path": str(written), "form": form, "manifest": resolved.manifest})
    else:
        typer.echo(f"exported to {written}")


def import_version(
    path: Annotated[Path, typer.Argument(help="An exported folder, archive or OCI layout.", show_default=False)],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model to import into; default: the one it was exported from.")
    ] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Verify an exported package and register it as the next version of its model.

    Example: tailorbird registry import demo-1.tar.gz
    """
    with open_registry() as registry:
        version = carrying.import_version(registry, path, settings.who(who), model)
    if as_json:
        print_json(version.record())
    else:
        origin = version.lineage.origin
        package = "a package" if origin is None else f"the package {origin.manifest[:12]} of {origin.model}"
        typer.echo(f"{version} is {package}")
