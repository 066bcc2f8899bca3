"""`tailorbird registry promote · rollback · hold`."""

from typing import Annotated

import typer

from registry import aliases, holds
from registry.history import Move
from registry.names import Reference
from registry.requests import Promotion, Rollback
from tailorbird import settings
from tailorbird.commands.options import Alias, AsJson, Model, Who, Why, open_registry, print_json
from tailorbird.errors import InvalidInput


def promote(
    version: Annotated[str, typer.Argument(metavar="NAME:N", help="A version.", show_default=False)],
    why: Why,
    alias: Alias = "champion",
    expect: Annotated[
        int | None, typer.Option(min=0, help="Move only if the alias points to this version; 0: to none.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Move even if a gate fails; the history records it.")] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Point an alias at a version, if its gates pass.

    Example: tailorbird registry promote demo:3 --why "better on night images"
    """
    wanted = Reference.parse(version)
    if wanted.number is None:
        raise InvalidInput(
            "NAME:N", f"{version!r} has no version number; accepted: {wanted.model}:1, {wanted.model}:2, …"
        )
    who = settings.who(who)
    asked = Promotion(wanted.model, wanted.number, alias=alias, why=why, who=who, expect=expect, force=force)
    with open_registry() as registry:
        _show(aliases.promote(registry, asked), as_json=as_json)


def rollback(
    model: Model,
    why: Why,
    alias: Alias = "champion",
    to: Annotated[int | None, typer.Option(min=1, help="Version to roll back to; default: the previous one.")] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Point an alias at the version that it had before, if that verifies.

    To return to a version that was rolled back, promote it again; its gates are then evaluated again.

    Example: tailorbird registry rollback demo --why "mistakes shirts for coats"
    """
    asked = Rollback(model, alias=alias, to=to, why=why, who=settings.who(who))
    with open_registry() as registry:
        _show(aliases.rollback(registry, asked), as_json=as_json)


def hold(
    model: Model,
    why: Why,
    release: Annotated[bool, typer.Option("--release", help="Release the hold.")] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Stop sweeps and monitoring from moving a model's aliases; people still can.

    Example: tailorbird registry hold demo --why "audit until Friday"
    """
    with open_registry() as registry:
        hold = holds.hold(registry, model, held=not release, why=why, who=settings.who(who))
    if as_json:
        print_json(hold.record())
    else:
        typer.echo(
            f"{model} is {'on hold: its aliases are not moved automatically' if hold.held else 'no longer on hold'}"
        )


def _show(move: Move, *, as_json: bool) -> None:
    if as_json:
        print_json(move.record())
    else:
        forced = f" (forced: {'; '.join(move.reasons)})" if move.forced else ""
        before = move.from_number or "unset"
        typer.echo(f"{move.model}@{move.alias} now points to version {move.to_number}, was {before}{forced}")
