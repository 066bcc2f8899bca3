"""`tailorbird registry`: look at versions, move aliases, verify and carry packages."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailorbird.commands.options import AsJson, Who, print_json
from tailorbird.errors import Corrupt, InvalidInput

if TYPE_CHECKING:
    from registry.core import Registry
    from registry.versions import Version

app = typer.Typer(help="Look at versions, move aliases, verify and carry packages.", no_args_is_help=True)

Ref = Annotated[str, typer.Argument(metavar="NAME[:N|@ALIAS]", help="A version.", show_default=False)]


@app.command("list")
def list_versions(
    model: Annotated[str | None, typer.Argument(help="One model; default: all.")] = None, as_json: AsJson = False
) -> None:
    """Versions with their accuracy and aliases, newest first.

    Example: tailorbird registry list demo
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from registry import versions

    with _open() as registry:
        found = versions.list_all(registry, model)
    if as_json:
        print_json([one.record() for one in found])
        return
    table = Table("version", "aliases", "held-out", "test", "registered (UTC)", "who", box=box.SIMPLE)
    for one in found:
        held, test = one.evidence["accuracy"], one.evidence["test"]["accuracy"]
        table.add_row(str(one), ", ".join(one.aliases), f"{held:.2%}", f"{test:.2%}", one.created[:19], one.who)
    Console().print(table)


@app.command()
def show(version: Ref, as_json: AsJson = False) -> None:
    """One version: what was measured of it, where it came from, and its files.

    Example: tailorbird registry show demo@champion
    """
    from registry import packages, versions

    with _open() as registry:
        found = versions.resolve(registry, version)
        files = packages.manifest(registry.blobs, found.manifest)["files"]
    record = found.record() | {"files": files}
    if as_json:
        print_json(record)
    else:
        _print(found, files)


@app.command()
def history(
    model: Annotated[str, typer.Argument(help="A model.", show_default=False)], as_json: AsJson = False
) -> None:
    """Every move of a model's aliases, newest first.

    Example: tailorbird registry history demo
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from registry import aliases

    with _open() as registry:
        moves = aliases.history(registry, model)
    if as_json:
        print_json([one.record() for one in moves])
        return
    table = Table("when (UTC)", "alias", "from", "to", "who", "why", box=box.SIMPLE)
    for one in moves:
        why = f"{one.why} (forced: {'; '.join(one.verdict['reasons'])})" if one.forced else one.why
        table.add_row(one.moved[:19], one.alias, str(one.from_number or "-"), str(one.to_number), one.who, why)
    Console().print(table)


@app.command()
def verify(
    version: Annotated[str | None, typer.Argument(metavar="NAME:N", help="A version.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Verify every version.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare every file of a version with the sum it was stored under; exit status 1 where one differs.

    Example: tailorbird registry verify --all
    """
    from registry import versions

    if everything == (version is not None):
        raise InvalidInput("NAME:N", "give one version, or --all")
    with _open() as registry:
        wanted = versions.list_all(registry) if version is None else [versions.resolve(registry, version)]
        found = {str(one): versions.verify(registry, one) for one in wanted}
    if as_json:
        print_json([{"version": name, "problems": problems} for name, problems in found.items()])
    for name, problems in found.items() if not as_json else ():
        typer.echo(f"{name}: {'; '.join(problems) or 'verified'}")
    if damaged := [name for name, problems in found.items() if problems]:
        raise Corrupt(f"{len(damaged)} of {len(found)} versions do not verify: {', '.join(damaged)}")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(metavar="NAME:N", help="A version.", show_default=False)],
    why: Annotated[str, typer.Option(help="A sentence for the history.", show_default=False)],
    alias: Annotated[str, typer.Option(help="The alias to move.")] = "champion",
    expect: Annotated[
        int | None, typer.Option(min=0, help="Move only if the alias is at this version now; 0: unset.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Move although a gate says no; the history tells.")] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Point an alias at a version, if its gates pass.

    Example: tailorbird registry promote demo:3 --why "better on night images"
    """
    from registry import aliases
    from registry.names import Reference
    from tailorbird import settings

    wanted = Reference.parse(version)
    if wanted.number is None:
        raise InvalidInput("NAME:N", f"{version!r} names no number; accepted: {wanted.model}:1, {wanted.model}:2, …")
    expected = aliases.ANY if expect is None else expect or None
    with _open() as registry:
        move = aliases.promote(
            registry,
            wanted.model,
            wanted.number,
            alias=alias,
            why=why,
            who=settings.who(who),
            expected=expected,
            force=force,
        )
    if as_json:
        print_json(move.record())
        return
    forced = f" (forced: {'; '.join(move.verdict['reasons'])})" if move.forced else ""
    typer.echo(f"{move.model}@{move.alias} is version {move.to_number} now, was {move.from_number or 'unset'}{forced}")


@app.command()
def export(version: Ref, path: Annotated[Path, typer.Argument(help="The folder to make.", show_default=False)]) -> None:
    """Write a version's package out as a folder.

    Example: tailorbird registry export demo:1 ./demo-1
    """
    from registry import versions

    with _open() as registry:
        typer.echo(f"exported to {versions.export(registry, versions.resolve(registry, version), path)}")


def _open() -> "Registry":
    from registry.core import Registry
    from tailorbird import settings

    return Registry(settings.load())


def _print(found: "Version", files: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from registry import gates

    evidence, test = found.evidence, found.evidence["test"]
    rows = {
        "aliases": ", ".join(found.aliases) or "-",
        "held-out": f"{evidence['accuracy']:.2%} ± {evidence['standard_error']:.2%} of {evidence['samples']} images",
        "test": f"{test['accuracy']:.2%} of {test['samples']} images",
        "parity": gates.told(evidence["parity"]),
        "registered": f"{found.created[:19]} UTC by {found.who}",
        **{key: str(value) for key, value in found.lineage.items()},
        "manifest": found.manifest,
        "files": "\n".join(f"{name} ({entry['size']:,} bytes)" for name, entry in files.items()),
    }
    table = Table(box=box.SIMPLE, show_header=False, title=str(found))
    for key, value in rows.items():
        table.add_row(key, value)
    Console().print(table)
