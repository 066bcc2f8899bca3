"""The ledger: our own record of sweeps, trials and their reports, and the truth about a sweep.

A sweep is running, then finished, interrupted or failed. A trial is pending, then running, then finished, stopped
(by the scheduler), interrupted or failed. Reports are idempotent by (trial, epoch).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from registry import schema
from registry.core import BLOBS, Registry
from tailorbird.errors import NotFound, Unavailable


@dataclass(frozen=True)
class Report:
    """What a trial measured after one epoch, and the digest of its checkpoint where that was its best so far."""

    epoch: int
    metrics: dict[str, float]
    checkpoint: str | None = None


@dataclass(frozen=True)
class Trial:
    """One run inside a sweep."""

    number: int
    config: dict[str, Any]
    status: str = "pending"
    problem: str | None = None
    reports: list[Report] = field(default_factory=list)


@dataclass(frozen=True)
class Sweep:
    """A sweep with the champion at its start and the version it registered."""

    id: str
    spec: dict[str, Any]
    status: str
    champion: int | None
    registered: int | None
    problem: str | None
    who: str
    created: str
    ended: str | None

    def record(self) -> dict[str, Any]:
        return asdict(self)


def begin(
    registry: Registry,
    sweep: str,
    spec: Mapping[str, Any],
    configs: Sequence[Mapping[str, Any]],
    champion: int | None,
    who: str,
) -> None:
    """Enter a sweep and all its trials, numbered from 1, as pending."""
    with registry.atomic(f"sweep:{sweep}") as connection:
        connection.execute(
            schema.sweeps.insert().values(
                id=sweep, spec=dict(spec), status="running", champion=champion, who=who, created=schema.now()
            )
        )
        rows = [
            {"sweep": sweep, "number": number, "config": dict(config), "status": "pending"}
            for number, config in enumerate(configs, 1)
        ]
        if rows:
            connection.execute(schema.trials.insert(), rows)


def report(registry: Registry, sweep: str, trial: int, made: Report) -> None:
    """Enter a report; the same epoch again changes nothing. Raises Unavailable where its checkpoint is not stored."""
    with registry.atomic(f"sweep:{sweep}", BLOBS + "?") as connection:
        if made.checkpoint is not None and not registry.blobs.holds(made.checkpoint):
            raise Unavailable(f"{registry.blobs.place(made.checkpoint)}, a checkpoint of {sweep}, is gone")
        known = connection.scalar(
            sa.select(schema.reports.c.epoch).filter_by(sweep=sweep, trial=trial, epoch=made.epoch)
        )
        if known is None:
            row = {"sweep": sweep, "trial": trial, "reported": schema.now(), **asdict(made)}
            connection.execute(schema.reports.insert().values(**row))


def set_trial(registry: Registry, sweep: str, trial: int, status: str, problem: str | None = None) -> None:
    """Change a trial's status; one that has ended stays as it ended."""
    with registry.atomic(f"sweep:{sweep}") as connection:
        connection.execute(
            schema.trials.update()
            .filter_by(sweep=sweep, number=trial)
            .where(schema.trials.c.status.in_(("pending", "running")))
            .values(status=status, problem=_text(problem))
        )


def end(
    registry: Registry, sweep: str, status: str, *, registered: int | None = None, problem: str | None = None
) -> None:
    """Close a sweep that is running; trials that were still running are interrupted."""
    with registry.atomic(f"sweep:{sweep}") as connection:
        connection.execute(
            schema.sweeps.update()
            .filter_by(id=sweep, status="running")
            .values(status=status, registered=registered, problem=_text(problem), ended=schema.now())
        )
        connection.execute(schema.trials.update().filter_by(sweep=sweep, status="running").values(status="interrupted"))


def sweeps(registry: Registry) -> list[Sweep]:
    """All sweeps, newest first."""
    with registry.reading() as connection:
        rows = connection.execute(sa.select(schema.sweeps).order_by(schema.sweeps.c.created.desc()))
        return [Sweep(**row._mapping) for row in rows]


def sweep(registry: Registry, sweep_id: str) -> Sweep:
    """One sweep by its id."""
    with registry.reading() as connection:
        row = connection.execute(sa.select(schema.sweeps).filter_by(id=sweep_id)).first()
    if row is None:
        raise NotFound("sweep", f"there is no sweep {sweep_id[:96]!r}; `tailorbird sweeps list` shows those there are")
    return Sweep(**row._mapping)


def trials(registry: Registry, sweep_id: str) -> list[Trial]:
    """The trials of a sweep in order, each with its reports by epoch."""
    with registry.reading() as connection:
        reported: dict[int, list[Report]] = {}
        for row in connection.execute(sa.select(schema.reports).filter_by(sweep=sweep_id).order_by("trial", "epoch")):
            reported.setdefault(row.trial, []).append(Report(row.epoch, _metrics(row.metrics), row.checkpoint))
        return [
            Trial(row.number, row.config, row.status, row.problem, reported.get(row.number, []))
            for row in connection.execute(sa.select(schema.trials).filter_by(sweep=sweep_id).order_by("number"))
        ]


def _metrics(stored: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in stored.items()}  # JSON has no NaN


def _text(problem: str | None) -> str | None:
    """What went wrong, in any words, with a mark for what no database takes."""
    return None if problem is None else problem.encode(errors="replace").decode().replace("\0", "?")
