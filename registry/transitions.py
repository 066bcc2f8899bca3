"""The status of a trial; only this module writes it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry import incidents, schema, statements

AFTER = {
    "pending": ("running", "failed"),
    "running": ("paused", "stopped", "finished", "failed", "interrupted"),
    "interrupted": ("running", "failed"),
    "paused": ("running", "failed"),
    "stopped": (),
    "failed": (),
    "finished": (),
    "skipped": (),
}
"""The allowed transitions of a trial's status.

A paused trial waits for others at a rung, or lost there; a stopped one lost to those that had reached the rung; a
skipped one does not fit the constraints of its sweep.
"""

EXTENDED = {
    "stopped": ("paused",),
    "failed": ("interrupted",),
    "finished": ("interrupted", "paused", "stopped"),
}
"""The transitions by which `sweeps extend` lets trials continue that had ended."""

logger = logging.getLogger(__name__)


def enter(
    connection: sa.Connection,
    status: str,
    problem: str | None = None,
    table: Mapping[str, Sequence[str]] = AFTER,
    /,
    **which: Any,
) -> None:
    """Set this status for the trials whose columns match `which`, if `table` allows it.

    The same status again changes nothing; other transitions that are not allowed are logged, since their caller has an
    outdated view of the ledger.
    """
    before = tuple(earlier for earlier, after in table.items() if status in after)
    allowed = statements.transition(status, before, *which)
    values = {f"of_{name}": value for name, value in which.items()}
    if connection.execute(allowed, {**values, "reason": problem}).rowcount:
        if status == incidents.FAILED:
            incidents.record(connection, which["sweep"], status, trial=which["number"], why=problem)
        return
    columns = schema.trials.c
    refused = sa.select(columns.number, columns.status).filter_by(**which).where(columns.status != status)
    for trial in connection.execute(refused):
        logger.warning("trial %d of %s is %s and cannot become %s", trial.number, which["sweep"], trial.status, status)
