"""Incidents of a sweep: when a process went on with it, and when trials failed; rows are only added."""

from typing import NamedTuple

import sqlalchemy as sa

from registry import schema, statements
from registry.core import Registry

FAILED = "failed"
"""The kind of an incident of a trial; those of the sweep are `resumed` and `extended`."""


class Incident(NamedTuple):
    """What happened to a sweep or to one of its trials, when and why, and who did it."""

    kind: str
    trial: int | None
    why: str | None
    who: str | None
    happened: str


def record(
    connection: sa.Connection,
    sweep: str,
    kind: str,
    *,
    trial: int | None = None,
    why: str | None = None,
    who: str | None = None,
) -> None:
    """Add an incident; requires the sweep's lock."""
    table = schema.incidents
    number = statements.following(table.c.number, table.c.sweep == sweep)
    row = {"sweep": sweep, "kind": kind, "trial": trial, "why": why, "who": who, "happened": schema.now()}
    connection.execute(table.insert().values(**row, number=number))


def of(registry: Registry, sweep: str) -> list[Incident]:
    """The incidents of a sweep, in the order in which they happened."""
    columns = schema.incidents.c
    chosen = sa.select(*(columns[name] for name in Incident._fields)).where(columns.sweep == sweep)
    with registry.reading() as connection:
        return [Incident(*row) for row in connection.execute(chosen.order_by(columns.number))]
