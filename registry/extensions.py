"""Extensions of an ended sweep: writes by which trials that had ended continue, under the sweep's lease."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from registry import leases, schema, transitions
from registry.core import Registry
from registry.leases import Lease


def rewrite(registry: Registry, lease: Lease, spec: Mapping[str, Any]) -> None:
    """Store the changed spec of a sweep, for example with more trials."""
    with _extending(registry, lease) as connection:
        _rewrite(connection, lease.sweep, spec)


def lengthen(
    registry: Registry,
    lease: Lease,
    spec: Mapping[str, Any],
    configs: Mapping[int, Mapping[str, Any]],
    statuses: Mapping[int, str],
    restarted: Collection[int],
) -> None:
    """Store the spec and all configs with more epochs, and the statuses of the trials that are not at their end yet.

    `restarted` are those of them whose weights were deleted: they and their groups start again.
    """
    trials = schema.trials
    update = trials.update().where(trials.c.sweep == lease.sweep, trials.c.number == sa.bindparam("of_number"))
    with _extending(registry, lease) as connection:
        _rewrite(connection, lease.sweep, spec)
        rows = [{"of_number": number, "config": dict(config)} for number, config in configs.items()]
        connection.execute(update, rows)
        for number, status in statuses.items():
            _enter(connection, lease.sweep, number, status)
        for number in restarted:
            _restart(connection, lease.sweep, number)


def thaw(registry: Registry, lease: Lease, trial: int) -> None:
    """Continue a paused or stopped trial to its end; without stored weights it and its group start again."""
    trials, key = schema.trials, {"sweep": lease.sweep, "number": trial}
    with _extending(registry, lease) as connection:
        _enter(connection, lease.sweep, trial, "paused")
        if connection.scalar(sa.select(trials.c.outranked).filter_by(**key, status="paused")):
            _restart(connection, lease.sweep, trial)
        connection.execute(trials.update().filter_by(**key, status="paused").values(thawed=True))


def retry(registry: Registry, lease: Lease, failed: Collection[int]) -> None:
    """Let failed trials resume from their stored state."""
    with _extending(registry, lease) as connection:
        for number in failed:
            _enter(connection, lease.sweep, number, "interrupted")


@contextmanager
def _extending(registry: Registry, lease: Lease) -> Iterator[sa.Connection]:
    """A transaction that extends a sweep; the answers of its best trials are deleted, since others may be best now."""
    with leases.writing(registry, lease) as connection:
        connection.execute(schema.trials.update().filter_by(sweep=lease.sweep).values(answers=None))
        yield connection


def _rewrite(connection: sa.Connection, sweep: str, spec: Mapping[str, Any]) -> None:
    connection.execute(schema.sweeps.update().filter_by(id=sweep).values(spec=dict(spec)))


def _enter(connection: sa.Connection, sweep: str, trial: int, status: str) -> None:
    transitions.enter(connection, status, None, transitions.EXTENDED, sweep=sweep, number=trial)


def _restart(connection: sa.Connection, sweep: str, trial: int) -> None:
    """Let a trial whose weights were deleted, and its group, start again."""
    reports, groups, trials = schema.reports, schema.groups, schema.trials
    key = {"sweep": sweep, "number": trial}
    connection.execute(reports.update().filter_by(sweep=sweep, trial=trial).values(checkpoint=None))
    group = sa.select(trials.c.group).filter_by(**key).scalar_subquery()
    connection.execute(groups.update().filter_by(sweep=sweep).where(groups.c.number == group).values(state=None))
    connection.execute(trials.update().filter_by(**key).values(outranked=False))
