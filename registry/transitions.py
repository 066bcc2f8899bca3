"""The status of a trial, and the one place that enters it."""

import logging
from typing import Any

import sqlalchemy as sa

from registry import schema, statements

AFTER = {
    "pending": ("running", "failed", "skipped"),
    "running": ("paused", "stopped", "finished", "failed", "interrupted"),
    "interrupted": ("running", "failed"),
    "paused": ("running", "failed"),
    "stopped": ("paused",),
    "failed": ("interrupted",),
    "finished": (),
    "skipped": (),
}
"""The allowed transitions of a trial's status.

A paused one waits for its rivals, or lost to them; a stopped one lost to those that had come as far; a skipped one does
not fit the constraints of its sweep. `sweeps extend` makes a stopped one paused, and a failed one interrupted.
"""

logger = logging.getLogger(__name__)


def enter(connection: sa.Connection, status: str, problem: str | None = None, /, **which: Any) -> None:
    """Give this status to the trials whose columns are `which`, where the table allows it.

    The same again changes nothing; what else is not allowed is logged, since who asked for it is behind the ledger.
    """
    before = tuple(earlier for earlier, after in AFTER.items() if status in after)
    allowed = statements.transition(status, before, *which)
    values = {f"of_{name}": value for name, value in which.items()}
    if connection.execute(allowed, {**values, "reason": problem}).rowcount:
        return
    columns = schema.trials.c
    refused = sa.select(columns.number, columns.status).filter_by(**which).where(columns.status != status)
    for trial in connection.execute(refused):
        logger.warning("trial %d of %s is %s and cannot become %s", trial.number, which["sweep"], trial.status, status)
