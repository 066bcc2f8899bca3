"""`tailorbird registry list · show · history · verify`."""

from dataclasses import asdict
from operator import itemgetter
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from registry import history as log
from registry import holds, judgements, packages, verification, versions
from registry.cards import facts
from registry.cards.facts import Event
from registry.core import Registry
from registry.history import Deletion, Move
from registry.holds import Hold
from registry.judgements import Judgement
from registry.names import Reference
from registry.version import Version
from tailorbird import shares, tables, terminal
from tailorbird.commands.options import AsJson, Model, Ref, open_registry, print_json
from tailorbird.errors import Corrupt, InvalidInput
from tailorbird.package.manifest import Entry
from tailorbird.pages.document import clean

Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="Maximum number of entries.")]


def list_versions(
    model: Annotated[str | None, typer.Argument(metavar="NAME", help="One model; default: all.")] = None,
    limit: Limit = 100,
    before: Annotated[str | None, typer.Option(metavar="NAME:N", help="Continue after this version.")] = None,
    as_json: AsJson = False,
) -> None:
    """List versions with their accuracy and aliases, newest first.

    Example: tailorbird registry list demo
    """
    with open_registry() as registry:
        last = None if before is None else _named(registry, before)
        page = versions.page(registry, model, limit=limit + 1, before=last)
    more, page = page[limit:], page[:limit]
    if as_json:
        print_json([listed.record() for listed in page])
        return
    columns = ["version", "aliases", "held-out", "test", "registered (UTC)", "who"]
    tables.show_rows(terminal.console(), columns, [_row(listed) for listed in page], apart=4)
    if more:
        typer.echo(f"for more: tailorbird registry list {model or ''} --before {page[-1]}".replace("  ", " "))


def show(version: Ref, as_json: AsJson = False) -> None:
    """Show a version: its measurements, lineage and files.

    Example: tailorbird registry show demo@champion
    """
    with open_registry() as registry:
        resolved = versions.resolve(registry, version)
        tags = versions.tags(registry, resolved)
        events = facts.events(registry, resolved)
        files = _files(registry, resolved)
    if as_json:
        listed = None if files is None else {name: entry.record() for name, entry in files.items()}
        print_json(resolved.record() | {"tags": tags, "events": [asdict(event) for event in events], "files": listed})
    else:
        _print(resolved, tags, events, files)


def history(
    model: Model,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Show the alias moves, deletions, judgements and hold of a model, newest first.

    Example: tailorbird registry history demo
    """
    with open_registry() as registry:
        moves = log.moves(registry, model, limit=limit)
        deletions = log.deletions(registry, model, limit=limit)
        hold = holds.current(registry, model)
        judged = judgements.page(registry, model, limit=limit)
    if as_json:
        print_json(_events(moves, deletions, hold, judged))
        return
    table = Table("when (UTC)", "alias", "from", "to", "who", "why", box=box.SIMPLE)
    for move in moves:
        notes = [kind for kind in (move.kind,) if kind != "promote"]
        notes += [f"forced: {'; '.join(move.reasons)}"] if move.forced else []
        why = f"{move.why} ({'; '.join(notes)})" if notes else move.why
        _add(
            table,
            tables.moment(move.moved),
            move.alias,
            str(move.from_number or "-"),
            str(move.to_number),
            move.who,
            why,
        )
    tables.show(terminal.console(), table)
    for gone in deletions:
        typer.echo(
            clean(f"{model}:{gone.number} was deleted {tables.moment(gone.deleted)} UTC by {gone.who}: {gone.why}")
        )
    for row in judged:
        why = "; ".join((row.state, row.action, *row.reasons))
        typer.echo(clean(f"{row.model}:{row.number} was judged {tables.moment(row.judged)} UTC by {row.who}: {why}"))
    if hold is not None:
        typer.echo(clean(f"on hold since {tables.moment(hold.since)} UTC by {hold.who}: {hold.why}"))


def verify(
    version: Annotated[str | None, typer.Argument(metavar="NAME:N", help="A version.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Verify every version.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the files of a version against their SHA-256 sums, and its figures; exit status 1 if they differ.

    Example: tailorbird registry verify --all
    """
    if everything == (version is not None):
        raise InvalidInput("NAME:N", "give one version, or --all")
    found: dict[str, list[str]] = {}
    with open_registry() as registry:
        for checked in versions.every(registry) if version is None else [versions.resolve(registry, version)]:
            found[str(checked)] = verification.verify(registry, checked)
            if not as_json:
                typer.echo(f"{checked}: {'; '.join(found[str(checked)]) or 'verified'}")
    if as_json:
        print_json([{"version": name, "problems": problems} for name, problems in found.items()])
    if damaged := [name for name, problems in found.items() if problems]:
        raise Corrupt(f"{len(damaged)} of {len(found)} versions do not verify: {', '.join(damaged)}")


def _named(registry: Registry, reference: str) -> Version:
    """A version, even if it was deleted after the page that ends with it was printed."""
    wanted = Reference.parse(reference)
    if wanted.number is None:
        return versions.resolve(registry, wanted)
    return versions.recall(registry, wanted.model, wanted.number)


def _row(listed: Version) -> list[str]:
    held, test = listed.evidence.accuracy, listed.evidence.test.accuracy
    words = [str(listed), ", ".join(listed.aliases), f"{held:.2%}", f"{test:.2%}", tables.moment(listed.created)]
    return [*words, clean(listed.who)]


def _events(
    moves: list[Move], deletions: list[Deletion], hold: Hold | None, judged: list[Judgement]
) -> list[dict[str, Any]]:
    """All events, newest first, as `history --json` prints them."""
    events = [{"event": "moved", **move.record()} for move in moves]
    events += [{"event": "deleted", **asdict(deletion)} for deletion in deletions]
    events += [{"event": "judged", **judgement.record()} for judgement in judged]
    events += [] if hold is None else [{"event": "held", **hold.record()}]
    return sorted(events, key=itemgetter("id"), reverse=True)


def _files(registry: Registry, version: Version) -> dict[str, Entry] | None:
    """The files of a version by name; None, with a warning, if its manifest is damaged."""
    try:
        return packages.manifest(registry.blobs, version.manifest).files
    except Corrupt as error:
        typer.echo(f"the files of {version} cannot be listed: {error}", err=True)
        return None


def _print(version: Version, tags: dict[str, str], events: tuple[Event, ...], files: dict[str, Entry] | None) -> None:
    evidence, test = version.evidence, version.evidence.test
    rows = {
        "aliases": ", ".join(version.aliases) or "-",
        "tags": ", ".join(f"{key}={value}" for key, value in tags.items()) or "-",
        "held-out": shares.text(evidence.accuracy, evidence.samples),
        "test": shares.text(test.accuracy, test.samples),
        "parity": str(evidence.parity),
        "registered": f"{tables.moment(version.created)} UTC by {version.who}",
        "judged": "\n".join(_line(event) for event in events) or "-",
        **{key: tables.plain(value) for key, value in version.lineage.record().items()},
        "manifest": version.manifest + ("" if version.signature is None else ", signed"),
        "files": "unknown"
        if files is None
        else "\n".join(f"{name} ({entry.size:,} bytes)" for name, entry in files.items()),
    }
    table = Table("", "", box=None, show_header=False, title=str(version), title_justify="left", padding=(0, 2, 0, 0))
    for key, value in rows.items():
        _add(table, key, value)
    tables.show(terminal.console(), table)


def _add(table: Table, *cells: str) -> None:
    table.add_row(*("\n".join(map(clean, cell.splitlines())) for cell in cells))


def _line(event: Event) -> str:
    return f"{tables.moment(event.when)} UTC {event.alias}: {'; '.join((event.what, *event.reasons))}"
