"""The ledger: our own record of sweeps, trials and their reports, and the source of truth about them.

A sweep is running, then finished, interrupted, cancelled or failed; all but a finished one can be resumed. Reports are
idempotent by (trial, epoch). Writing requires the sweep's lease.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from registry import leases, repeats, schema, statements, transitions
from registry.core import BATCH, BLOBS, Registry
from registry.leases import Lease
from tailorbird.errors import LeaseLost, NotFound, Unavailable


@dataclass(frozen=True)
class Report:
    """The figures of a trial after one epoch, and the digest of its checkpoint if that was its best so far."""

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
    wave: int = 1
    group: int = 1
    basis: str | None = None
    confirms: int | None = None
    thawed: bool = False
    outranked: bool = False
    answers: str | None = None
    attempt: int = 0


@dataclass(frozen=True)
class Sweep:
    """A sweep with the champion at its start and the version it registered."""

    id: str
    number: int
    spec: dict[str, Any]
    status: str
    champion: int | None
    registered: int | None
    problem: str | None
    who: str
    created: str
    ended: str | None
    token: int
    owner: str | None
    expires: str | None
    processor: str | None

    @property
    def standing(self) -> str:
        """Its status; `abandoned` for a running sweep whose process is gone."""
        abandoned = self.status == leases.RUNNING and leases.expired(self.owner, self.expires)
        return "abandoned" if abandoned else self.status

    @property
    def holding(self) -> tuple[int, str]:
        """Token and status, which change when another process takes the sweep over, and when that one ends."""
        return self.token, self.status

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "standing": self.standing}


@dataclass(frozen=True)
class Suggestion:
    """A trial to be added; `basis` names the trials that its suggestion was based on."""

    config: Mapping[str, Any]
    wave: int = 1
    group: int = 1
    basis: str | None = None
    confirms: int | None = None
    problem: str | None = None  # why it is skipped


@dataclass(frozen=True)
class Change:
    """A change of a trial: a report, a status, or a file."""

    trial: int
    status: str | None = None
    problem: str | None = None
    report: Report | None = None
    answers: str | None = None
    exact: bool = True  # whether training again would give the same figures, to the last bit
    counts: Mapping[str, int] = field(default_factory=dict)  # the numbers of examples of its accuracies


@dataclass(frozen=True)
class Group:
    """Trials that are trained together: the number of attempts, the current worker, and the state to resume from."""

    number: int
    attempt: int
    worker: str | None
    state: str | None


def begin(
    registry: Registry,
    sweep: str,
    spec: Mapping[str, Any],
    suggestions: Sequence[Suggestion],
    champion: int | None,
    who: str,
    *,
    processor: str | None = None,
    seconds: float = 60,
) -> Lease:
    """Add a sweep with its first trials, numbered from 1, as pending; the lease lasts `seconds`.

    Raises LeaseHeld if there is a sweep of that name already.
    """
    row = {"id": sweep, "spec": dict(spec), "champion": champion, "who": who, "processor": processor}
    row |= {"status": "running", "created": schema.now(), "token": 1, **leases.held(seconds)}
    with registry.atomic(f"sweep:{sweep}", "sweeps") as connection:
        leases.check_new(connection, sweep)
        connection.execute(schema.sweeps.insert().values(**row, number=statements.following(schema.sweeps.c.number)))
        _add(connection, sweep, suggestions, 1)
    return Lease(sweep, 1)


def add(registry: Registry, lease: Lease, suggestions: Sequence[Suggestion], first: int) -> None:
    """Add further trials, numbered from `first`; existing ones are not changed."""
    with leases.writing(registry, lease) as connection:
        known = sa.select(sa.func.max(schema.trials.c.number)).filter_by(sweep=lease.sweep)
        if (connection.scalar(known) or 0) < first:
            _add(connection, lease.sweep, suggestions, first)


def assign(registry: Registry, lease: Lease, group: int, trials: Sequence[int], worker: str) -> int:
    """Assign a group, of which these trials continue, to a worker; returns the number of the attempt."""
    key = {"of_sweep": lease.sweep, "of_number": group}
    with leases.writing(registry, lease) as connection:
        attempt: int = connection.execute(statements.ATTEMPT, key).scalar_one() + 1
        connection.execute(statements.GROUP, {**key, "attempt": attempt, "worker": worker})
        _change(connection, lease.sweep, [Change(number, "running") for number in trials])
    return attempt


def release(registry: Registry, lease: Lease, group: int, attempt: int) -> None:
    """Take a group from its worker; its running trials become interrupted."""
    groups = schema.groups
    with leases.writing(registry, lease) as connection:
        taken = groups.update().filter_by(sweep=lease.sweep, number=group, attempt=attempt)
        if connection.execute(taken.values(worker=None, attempt=attempt + 1)).rowcount:
            leases.interrupt(connection, lease.sweep, group)


def enter(
    registry: Registry,
    lease: Lease,
    changes: Sequence[Change],
    attempt: tuple[int, int] | None = None,
    state: str | None = None,
) -> None:
    """Apply changes atomically and idempotently.

    `attempt` is the group and the number of the worker's attempt, `state` what the group resumes from. Raises LeaseLost
    if another worker has the group by now, Irreproducible if an epoch was reported before with other figures,
    Unavailable if a file is not stored.
    """
    files = {
        file for change in changes for file in (change.answers, change.report and change.report.checkpoint) if file
    }
    files |= {state} if state else set()
    locks = [BLOBS + "?"] if files else []
    with leases.writing(registry, lease, *locks) as connection:
        if attempt is not None:
            _check_attempt(connection, lease.sweep, *attempt)
        if files and not registry.blobs.holds(*files):
            raise Unavailable(f"a file of {lease.sweep} disappeared from the store after it was written")
        for change in changes:
            if change.report:
                _report(connection, lease.sweep, change, change.report)
        _change(connection, lease.sweep, changes)
        if attempt is not None and state is not None:
            connection.execute(statements.GROUP, {"of_sweep": lease.sweep, "of_number": attempt[0], "state": state})


def end(
    registry: Registry, lease: Lease, status: str, *, registered: int | None = None, problem: str | None = None
) -> None:
    """Close a sweep; running trials become interrupted, and the lease ends. Closing it again changes nothing.

    If `registered` is None, the sweep keeps the version that it registered before an extension, if any.
    """
    values: dict[str, Any] = {"status": status, "problem": _text(problem), "ended": schema.now()}
    values |= {} if registered is None else {"registered": registered}
    with leases.writing(registry, lease, ended=True) as connection:
        update = schema.sweeps.update().filter_by(id=lease.sweep, status="running")
        connection.execute(update.values(**values, owner=None, expires=None))
        leases.release(connection, lease.sweep)


def outrank(registry: Registry, lease: Lease, trials: Sequence[int], groups: Sequence[int]) -> None:
    """Record which trials' weights and which groups' states are not kept."""
    behind = schema.trials.update().filter_by(sweep=lease.sweep).values(outranked=True)
    done = schema.groups.update().filter_by(sweep=lease.sweep).values(state=None)
    with leases.writing(registry, lease) as connection:
        for start in range(0, len(trials), BATCH):
            connection.execute(behind.where(schema.trials.c.number.in_(trials[start : start + BATCH])))
        for start in range(0, len(groups), BATCH):
            connection.execute(done.where(schema.groups.c.number.in_(groups[start : start + BATCH])))


def sweeps(registry: Registry) -> list[Sweep]:
    """List sweeps, newest first."""
    with registry.reading() as connection:
        rows = connection.execute(sa.select(schema.sweeps).order_by(schema.sweeps.c.number.desc()))
        return [Sweep(**row._mapping) for row in rows]


def known(registry: Registry, sweep_id: str) -> bool:
    """Whether a sweep of this id exists."""
    with registry.asking() as connection:
        return connection.scalar(sa.select(schema.sweeps.c.id).filter_by(id=sweep_id)) is not None


def sweep(registry: Registry, sweep_id: str) -> Sweep:
    """One sweep by its id."""
    with registry.reading() as connection:
        row = connection.execute(sa.select(schema.sweeps).filter_by(id=sweep_id)).first()
    if row is None:
        raise NotFound("sweep", f"there is no sweep {sweep_id[:96]!r}; list the sweeps with `tailorbird sweeps list`")
    return Sweep(**row._mapping)


def trials(registry: Registry, sweep_id: str) -> list[Trial]:
    """The trials of a sweep in order, each with its reports by epoch."""
    columns, joined = schema.trials.c, sa.select(schema.trials, schema.groups.c.attempt).join(schema.groups)
    with registry.reading() as connection:
        reported: dict[int, list[Report]] = {}
        for row in connection.execute(sa.select(schema.reports).filter_by(sweep=sweep_id).order_by("trial", "epoch")):
            reported.setdefault(row.trial, []).append(Report(row.epoch, measured(row.metrics), row.checkpoint))
        return [
            Trial(reports=reported.get(row.number, []), **{key: row._mapping[key] for key in _TRIAL})
            for row in connection.execute(joined.where(columns.sweep == sweep_id).order_by(columns.number))
        ]


def groups(registry: Registry, sweep_id: str) -> dict[int, Group]:
    """The groups of a sweep by number."""
    columns = schema.groups.c
    chosen = sa.select(columns.number, columns.attempt, columns.worker, columns.state).filter_by(sweep=sweep_id)
    with registry.reading() as connection:
        return {row.number: Group(**row._mapping) for row in connection.execute(chosen)}


_TRIAL = [name for name in Trial.__dataclass_fields__ if name != "reports"]


def _add(connection: sa.Connection, sweep: str, suggestions: Sequence[Suggestion], first: int) -> None:
    if not suggestions:
        return
    groups = sorted({suggestion.group for suggestion in suggestions})
    connection.execute(schema.groups.insert(), [{"sweep": sweep, "number": number, "attempt": 0} for number in groups])
    fresh = {"sweep": sweep, "thawed": False, "outranked": False}
    rows = [
        {**asdict(suggestion), **fresh, "number": number, "config": dict(suggestion.config)}
        | {"status": "skipped" if suggestion.problem else "pending", "problem": _text(suggestion.problem)}
        for number, suggestion in enumerate(suggestions, first)
    ]
    connection.execute(schema.trials.insert(), rows)


def _check_attempt(connection: sa.Connection, sweep: str, group: int, attempt: int) -> None:
    latest = connection.scalar(statements.ATTEMPT, {"of_sweep": sweep, "of_number": group})
    if latest != attempt:
        raise LeaseLost(sweep, f"has assigned group {group} of its trials to another worker")


def _report(connection: sa.Connection, sweep: str, change: Change, report: Report) -> None:
    key = {"sweep": sweep, "trial": change.trial, "epoch": report.epoch}
    known = connection.execute(statements.REPORTED, {f"of_{name}": value for name, value in key.items()}).first()
    if known is None:
        row = {**key, **vars(report), "reported": schema.now()}
        connection.execute(statements.REPORT, {**row, "of_sweep": sweep})
        return
    epoch = f"trial {change.trial} of {sweep} was trained again from its stored state, and epoch {report.epoch}"
    repeats.check(epoch, measured(known.metrics), report.metrics, change.exact, change.counts)
    if report.checkpoint and known.checkpoint is None:  # a trial that was thawed after its weights were deleted
        connection.execute(schema.reports.update().filter_by(**key).values(checkpoint=report.checkpoint))


def _change(connection: sa.Connection, sweep: str, changes: Sequence[Change]) -> None:
    for change in changes:
        if change.answers:
            update = schema.trials.update().filter_by(sweep=sweep, number=change.trial)
            connection.execute(update.values(answers=change.answers))
        if change.status:
            which = {"sweep": sweep, "number": change.trial}
            transitions.enter(connection, change.status, _text(change.problem), **which)


def measured(stored: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics in the form of a row."""
    return {name: math.nan if value is None else value for name, value in stored.items()}  # JSON has no NaN


def _text(problem: str | None) -> str | None:
    """An error message, with replacements for characters that databases reject."""
    return None if problem is None else problem.encode(errors="replace").decode().replace("\0", "?")
