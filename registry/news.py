"""What is new in the ledger, for those who follow a sweep without reading all of it each time."""

from typing import NamedTuple

import sqlalchemy as sa

from registry import schema
from registry.core import Registry
from registry.ledger import Report, Trial, measured


class Entry(NamedTuple):
    """A report in the ledger: its place among those of the sweep, when it was entered, and of which trial it is."""

    number: int
    reported: str
    trial: int
    report: Report


def statuses(registry: Registry, sweep_id: str) -> list[tuple[int, str, str | None]]:
    """Number, status and problem of each trial, in order."""
    columns = schema.trials.c
    chosen = sa.select(columns.number, columns.status, columns.problem).filter_by(sweep=sweep_id)
    with registry.asking() as connection:
        return [tuple(row) for row in connection.execute(chosen.order_by(columns.number))]


def configs(registry: Registry, sweep_id: str, first: int) -> list[Trial]:
    """The trials from a number on, without their reports."""
    columns = schema.trials.c
    chosen = sa.select(columns.number, columns.config, columns.wave).filter_by(sweep=sweep_id)
    with registry.asking() as connection:
        rows = connection.execute(chosen.where(columns.number >= first).order_by(columns.number))
        return [Trial(row.number, row.config, wave=row.wave) for row in rows]


def reports(registry: Registry, sweep_id: str, after: int = 0) -> list[Entry]:
    """The reports after the one of a number, in the order in which they came."""
    columns = schema.reports.c
    chosen = sa.select(schema.reports).filter_by(sweep=sweep_id).where(columns.number > after)
    with registry.asking() as connection:
        rows = connection.execute(chosen.order_by(columns.number))
        return [
            Entry(row.number, row.reported, row.trial, Report(row.epoch, measured(row.metrics), row.checkpoint))
            for row in rows
        ]
