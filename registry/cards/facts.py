"""Facts: all records of one version, gathered for its model card."""

import math
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry import gates, packages, schema, versions
from registry.cards import contents
from registry.cards.contents import Contents
from registry.core import Registry
from registry.version import Version
from tailorbird.package.curves import Epoch

PICTURES = ("confusion.png", "curves.png")
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Event:
    """A verdict on a version, or a move of an alias to it or away from it; `reasons` are the gates that failed."""

    when: str
    alias: str
    what: str
    reasons: tuple[str, ...]
    who: str
    why: str


@dataclass(frozen=True)
class Record:
    """The events of a version, newest first; its last gate results; the number of others judged on its split."""

    events: tuple[Event, ...]
    gates: tuple[dict[str, Any], ...]
    judged_others: int


@dataclass(frozen=True, eq=False)
class Facts:
    """One version with its readable files, its pictures (PNG), tags and record."""

    version: Version
    contents: Contents
    pictures: dict[str, bytes]
    tags: dict[str, str]
    record: Record

    @property
    def kept(self) -> Epoch | None:
        """The epoch of the weights, if it is known."""
        epoch = self.version.lineage.epoch
        return next((measured for measured in self.contents.epochs if measured.epoch == epoch), None)

    @property
    def confidence(self) -> float | None:
        """The mean confidence of the answers to the held-out images."""
        mean = float(self.contents.heldout.probabilities.max(1).mean())
        return mean if math.isfinite(mean) else None


def gather(registry: Registry, version: Version) -> Facts:
    """Raises Corrupt if a file of the version's package cannot be read."""
    content = contents.read(registry, version)
    return Facts(
        version=version,
        contents=content,
        pictures=_pictures(registry, version),
        tags=versions.tags(registry, version),
        record=_record(registry, version, gates.split(content.evidence)),
    )


def _pictures(registry: Registry, version: Version) -> dict[str, bytes]:
    pictures = {name: packages.file(registry.blobs, version.manifest, name) for name in PICTURES}
    return {name: data for name, data in pictures.items() if data.startswith(PNG)}


def events(registry: Registry, version: Version) -> tuple[Event, ...]:
    """The events of a version, newest first."""
    with registry.reading() as connection:
        return tuple(_event(row, version.number) for row in connection.execute(_judged(version)))


def _record(registry: Registry, version: Version, split: str | None) -> Record:
    verdict = schema.verdicts.c
    mine = sa.and_(verdict.model == version.model, verdict.number == version.number)
    others = sa.select(verdict.model, verdict.number).where(verdict.split == split, sa.not_(mine)).distinct()
    with registry.reading() as connection:
        rows = connection.execute(_judged(version)).all()
        judged = connection.scalar(sa.select(sa.func.count()).select_from(others.subquery()))
    last = next((row.gates for row in rows if row.number == version.number and row.kind != "rollback"), ())
    return Record(tuple(_event(row, version.number) for row in rows), tuple(last), judged or 0)


def _judged(version: Version) -> sa.Select[Any]:
    """Verdicts on a version, and on others that took an alias from it, each with the resulting move."""
    verdict, move = schema.verdicts.c, schema.moves.c
    mine = sa.and_(verdict.model == version.model, verdict.number == version.number)
    return (
        sa.select(schema.verdicts, *(move[name] for name in ("kind", "from_number", "to_number", "why", "moved")))
        .outerjoin(schema.moves, move.verdict == verdict.id)
        .where(sa.or_(mine, sa.and_(move.model == version.model, move.from_number == version.number)))
        .order_by(verdict.id.desc())
    )


def _event(row: sa.Row[Any], number: int) -> Event:
    reasons = tuple(gate["message"] for gate in row.gates if not gate["passed"]) if row.number == number else ()
    if row.kind is None:
        what = "judged, and not moved" if row.passed else "refused"
    elif row.from_number == number:
        what = f"{'rolled back' if row.kind == 'rollback' else 'moved on'} to version {row.to_number}"
    else:
        before = "unset" if row.from_number is None else f"at version {row.from_number}"
        what = f"{'rolled back to it' if row.kind == 'rollback' else 'moved to it'}, was {before}"
    return Event(row.moved or row.judged, row.alias, what, reasons, row.who, row.why or "")
