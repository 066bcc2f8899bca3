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
    changes: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE…", help="KEY=VALUE sets a tag, KEY= removes it.", show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Set or remove tags of a version.

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
    why: Annotated[str, typer.Option(help="Reason to record in the history.")] = "no longer needed",
    who: Who = None,
) -> None:
    """Delete a version that no alias points to or could be rolled back to. Its number is not reused.

    Example: tailorbird registry delete demo:2
    """
    wanted = Reference.parse(version)
    if wanted.number is None:
        raise InvalidInput(
            "NAME:N", f"{version!r} has no version number; accepted: {wanted.model}:1, {wanted.model}:2, …"
        )
    with open_registry() as registry:
        versions.delete(registry, wanted.model, wanted.number, why=why, who=settings.who(who))
    typer.echo(f"{wanted} was deleted; `tailorbird registry gc` frees its space after a day")


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted.")] = False,
    hours: Annotated[
        float, typer.Option(min=0, max=1_000_000, help="Keep files younger than this, and versions deleted since then.")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Delete files that no version and no resumable sweep needs.

    Example: tailorbird registry gc --dry-run
    """
    with open_registry() as registry:
        collected = garbage.collect(registry, age=timedelta(hours=hours), dry_run=dry_run)
    if as_json:
        print_json(collected.record())
        return
    verb = "would be" if dry_run else "were"
    typer.echo(f"{collected.deleted:,} files ({collected.bytes / 1e6:,.1f} MB) {verb} deleted, {collected.kept:,} kept")


def migrate() -> None:
    """Migrate the database to the schema of this release; SQLite databases are migrated automatically.

    Example: tailorbird registry migrate
    """
    opened = opening.connect(settings.load().database)
    try:
        before = opened.migrate()
    finally:
        opened.close()
    if before is None or before < schema.REVISION:
        typer.echo(f"the database {opened.name} was migrated to schema {schema.REVISION} from {before or 'empty'}")
    else:
        typer.echo(f"the database {opened.name} is up to date, with schema {before}")


def notify(as_json: AsJson = False) -> None:
    """Send pending webhook deliveries, for example from a cron job.

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
        typer.echo("no deliveries are due")
