"""New rows of the ledger, for following a sweep without reading all of it each time."""

from typing import NamedTuple

import sqlalchemy as sa

from registry import schema
from registry.core import Registry
from registry.ledger import Report, Trial, measured


class Entry(NamedTuple):
    """A report in the ledger, with its position among those of the sweep, its time and its trial."""

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
    """The trials from a number on, without reports."""
    columns = schema.trials.c
    chosen = sa.select(columns.number, columns.config, columns.wave, columns.confirms).filter_by(sweep=sweep_id)
    with registry.asking() as connection:
        rows = connection.execute(chosen.where(columns.number >= first).order_by(columns.number))
        return [Trial(row.number, row.config, wave=row.wave, confirms=row.confirms) for row in rows]


def reports(registry: Registry, sweep_id: str, after: int = 0) -> list[Entry]:
    """The reports after the one with a number, in order of arrival."""
    columns = schema.reports.c
    chosen = sa.select(schema.reports).filter_by(sweep=sweep_id).where(columns.number > after)
    with registry.asking() as connection:
        rows = connection.execute(chosen.order_by(columns.number))
        return [
            Entry(row.number, row.reported, row.trial, Report(row.epoch, measured(row.metrics), row.checkpoint))
            for row in rows
        ]
