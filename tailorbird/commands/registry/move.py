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
        int | None, typer.Option(min=0, help="Move only if the alias is at this version now; 0: unset.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Move although a gate says no; the history tells.")] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Point an alias at a version, if its gates pass.

    Example: tailorbird registry promote demo:3 --why "better on night images"
    """
    wanted = Reference.parse(version)
    if wanted.number is None:
        raise InvalidInput("NAME:N", f"{version!r} names no number; accepted: {wanted.model}:1, {wanted.model}:2, …")
    who = settings.who(who)
    asked = Promotion(wanted.model, wanted.number, alias=alias, why=why, who=who, expect=expect, force=force)
    with open_registry() as registry:
        _show(aliases.promote(registry, asked), as_json=as_json)


def rollback(
    model: Model,
    why: Why,
    alias: Alias = "champion",
    to: Annotated[int | None, typer.Option(min=1, help="A version that it had; default: the one before.")] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Point an alias at the version that it had before, if that verifies.

    A version that it was rolled back from is promoted again, so that its gates are asked again.

    Example: tailorbird registry rollback demo --why "mistakes shirts for coats"
    """
    asked = Rollback(model, alias=alias, to=to, why=why, who=settings.who(who))
    with open_registry() as registry:
        _show(aliases.rollback(registry, asked), as_json=as_json)


def hold(
    model: Model,
    why: Why,
    release: Annotated[bool, typer.Option("--release", help="Let automatic moves go on.")] = False,
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
        typer.echo(f"{model} is {'on hold: only people move its aliases' if hold.held else 'not on hold any more'}")


def _show(move: Move, *, as_json: bool) -> None:
    if as_json:
        print_json(move.record())
    else:
        forced = f" (forced: {'; '.join(move.reasons)})" if move.forced else ""
        before = move.from_number or "unset"
        typer.echo(f"{move.model}@{move.alias} is version {move.to_number} now, was {before}{forced}")
