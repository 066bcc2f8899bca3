"""`tailorbird registry tag · delete · gc · migrate · notify`."""

from datetime import timedelta
from typing import Annotated

import typer

from registry import garbage, schema, versions, webhooks
from registry.databases import opening
from registry.names import Reference
from tailorbird import settings
from tailorbird.commands.options import AsJson, Ref, Who, open_registry, print_json
from tailorbird.errors import InvalidInput
from tailorbird.pages.document import clean


def tag(
    version: Ref,
    changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="KEY= removes one.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Note something beside a version, which itself never changes.

    Example: tailorbird registry tag demo:3 camera=north note="relabelled in May"
    """
    wanted = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InvalidInput("KEY=VALUE", f"{change!r} has no '='; accepted: camera=north, or camera= to remove it")
        wanted[key] = value
    with open_registry() as registry:
        resolved = versions.resolve(registry, version)
        tags = versions.tag(registry, resolved, wanted)
    if as_json:
        print_json(tags)
    else:
        typer.echo(clean(f"{resolved} has {', '.join(f'{key}={value}' for key, value in tags.items()) or 'no tags'}"))


def delete(
    version: Annotated[str, typer.Argument(metavar="NAME:N", help="A version.", show_default=False)],
    why: Annotated[str, typer.Option(help="A sentence for the records.")] = "not needed any more",
    who: Who = None,
) -> None:
    """Delete a version that no alias points to or could be rolled back to. Its number is never used again.

    Example: tailorbird registry delete demo:2
    """
    wanted = Reference.parse(version)
    if wanted.number is None:
        raise InvalidInput("NAME:N", f"{version!r} names no number; accepted: {wanted.model}:1, {wanted.model}:2, …")
    with open_registry() as registry:
        versions.delete(registry, wanted.model, wanted.number, why=why, who=settings.who(who))
    typer.echo(f"{wanted} is deleted; `tailorbird registry gc` frees its space a day from now")


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    hours: Annotated[
        float, typer.Option(min=0, max=1_000_000, help="Spare what is younger, and versions deleted since.")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Delete files that no version, and no sweep that could go on, needs any more.

    Example: tailorbird registry gc --dry-run
    """
    with open_registry() as registry:
        collected = garbage.collect(registry, age=timedelta(hours=hours), dry_run=dry_run)
    if as_json:
        print_json(collected.record())
        return
    verb = "would be" if dry_run else "were"
    typer.echo(f"{collected.deleted:,} files ({collected.bytes / 1e6:,.1f} MB) {verb} deleted, {collected.kept:,} stay")


def migrate() -> None:
    """Bring the database's schema up to this release; PostgreSQL needs this once, SQLite does it by itself.

    Example: tailorbird registry migrate
    """
    opened = opening.connect(settings.load().database)
    try:
        before = opened.migrate()
    finally:
        opened.close()
    if before is None or before < schema.REVISION:
        typer.echo(f"the database {opened.name} has schema {schema.REVISION} now, was {before or 'empty'}")
    else:
        typer.echo(f"the database {opened.name} has schema {before} already")


def notify(as_json: AsJson = False) -> None:
    """Send what is due to webhooks; a cron job for this keeps them told while their receivers come and go.

    Example: tailorbird registry notify
    """
    with open_registry() as registry:
        sent = webhooks.deliver(registry)
    if as_json:
        print_json([delivery.record() for delivery in sent])
        return
    for delivery in sent:
        typer.echo(f"{delivery.host}: {delivery.problem or 'delivered'}")
    if not sent:
        typer.echo("nothing is due")
