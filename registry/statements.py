"""Statements of each report of a sweep, built once: that takes longer than to execute them."""

from functools import cache

import sqlalchemy as sa

from registry import schema


def following(number: sa.Column[int], *among: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    """One more than the last number; requires the lock of that counter."""
    return sa.select(sa.func.coalesce(sa.func.max(number), 0) + 1).where(*among).scalar_subquery()


def _key(table: sa.Table, *names: str) -> list[sa.ColumnElement[bool]]:
    """The columns of these names equal what is executed with, under `of_NAME`."""
    return [table.c[name] == sa.bindparam(f"of_{name}") for name in names]


HOLDER = sa.select(
    *(schema.sweeps.c[name] for name in ("token", "status", "owner", "expires", "problem"))
).where(*_key(schema.sweeps, "id"))  # fmt: skip
"""Who may write to a sweep."""

ATTEMPT = sa.select(schema.groups.c.attempt).where(*_key(schema.groups, "sweep", "number"))
GROUP = schema.groups.update().where(*_key(schema.groups, "sweep", "number"))

REPORTED = sa.select(schema.reports.c.metrics, schema.reports.c.checkpoint).where(
    *_key(schema.reports, "sweep", "trial", "epoch")
)
REPORT = schema.reports.insert().values(number=following(schema.reports.c.number, *_key(schema.reports, "sweep")))


@cache
def transition(status: str, before: tuple[str, ...], *names: str) -> sa.Update:
    """Gives a status, for a `reason`, to the trials whose columns of these names match and whose status is `before`."""
    update = schema.trials.update().where(*_key(schema.trials, *names), schema.trials.c.status.in_(before))
    return update.values(status=status, problem=sa.bindparam("reason"))
