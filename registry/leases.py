"""Leases: which process may write to a sweep's ledger.

A lease alone is not safe: its holder may be suspended, and wake up after its end. So each holder has a token, larger
than that of the previous one, and writes are refused unless their token is the latest (a fencing token; Kleppmann, «How
to do distributed locking», 2016).
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from registry import incidents, names, schema, statements, transitions
from registry.core import Registry
from tailorbird.errors import LeaseHeld, LeaseLost, NotFound, SweepChanged

RUNNING = "running"


@dataclass(frozen=True)
class Lease:
    """The right to write to a sweep's ledger, until another process gets a later token."""

    sweep: str
    token: int


@contextmanager
def writing(registry: Registry, lease: Lease, *locks: str, ended: bool = False) -> Iterator[sa.Connection]:
    """A transaction on a sweep's rows.

    Raises LeaseLost if another process has taken over the sweep, or, unless `ended` permits it, if it has ended.
    """
    with registry.atomic(f"sweep:{lease.sweep}", *locks) as connection:
        row = _row(connection, lease.sweep)
        if row.token != lease.token or not (ended or row.status == RUNNING):
            raise LeaseLost(lease.sweep, _holder(row))
        yield connection


def take(
    registry: Registry,
    sweep: str,
    seconds: float,
    who: str,
    kind: str = "resumed",
    *,
    expect: tuple[int, str] | None = None,
) -> Lease:
    """Take a sweep over for a duration; its running trials become interrupted.

    It is recorded as an incident of this kind. Raises LeaseHeld while the lease of a process that may be alive has not
    run out, and SweepChanged if token and status are not those that the caller has read (`expect`).
    """
    with registry.atomic(f"sweep:{sweep}") as connection:
        row = _row(connection, sweep)
        if row.status == RUNNING and not expired(row.owner, row.expires):
            raise LeaseHeld(sweep, row.owner, row.expires)
        if expect not in (None, (row.token, row.status)):
            raise SweepChanged(sweep)
        values = {"token": row.token + 1, "status": RUNNING, "ended": None, "problem": None}
        connection.execute(schema.sweeps.update().filter_by(id=sweep).values(**values, **held(seconds)))
        incidents.record(connection, sweep, kind, why=_ending(row), who=who)
        release(connection, sweep)
    return Lease(sweep, row.token + 1)


def renew(registry: Registry, lease: Lease, seconds: float) -> None:
    """Renew the lease of a sweep; raises LeaseLost if another process has taken it over."""
    with writing(registry, lease) as connection:
        connection.execute(schema.sweeps.update().filter_by(id=lease.sweep).values(**held(seconds)))


def cancel(registry: Registry, sweep: str, who: str) -> None:
    """Cancel a sweep; the next write of the process that runs it is refused."""
    names.check_text("who", who, names.WHO)
    with registry.atomic(f"sweep:{sweep}") as connection:
        row = _row(connection, sweep)
        values = {"status": "cancelled", "problem": f"cancelled by {who}", "ended": schema.now()}
        if row.status != "finished":
            update = schema.sweeps.update().filter_by(id=sweep)
            connection.execute(update.values(token=row.token + 1, owner=None, expires=None, **values))
            release(connection, sweep)


def check_new(connection: sa.Connection, sweep: str) -> None:
    """Raise LeaseHeld if there is a sweep of that name already, or SweepChanged if it has even ended by now."""
    row = connection.execute(sa.select(schema.sweeps).filter_by(id=sweep)).first()
    if row is not None:
        raise LeaseHeld(sweep, row.owner, row.expires) if row.owner else SweepChanged(sweep)


def release(connection: sa.Connection, sweep: str) -> None:
    """Mark running trials as interrupted, since no worker trains them."""
    interrupt(connection, sweep)
    connection.execute(schema.groups.update().filter_by(sweep=sweep).values(worker=None))


def interrupt(connection: sa.Connection, sweep: str, group: int | None = None) -> None:
    """Mark the running trials of a sweep, or of one of its groups, as interrupted."""
    chosen = {} if group is None else {"group": group}
    transitions.enter(connection, "interrupted", sweep=sweep, status=RUNNING, **chosen)


def held(seconds: float) -> dict[str, str]:
    """The columns of a lease that this process holds for `seconds` from now."""
    until = datetime.fromisoformat(schema.now()) + timedelta(seconds=seconds)
    return {"owner": process(), "expires": schema.timestamp(until)}


def expired(owner: str | None, expires: str | None) -> bool:
    """Whether a lease has run out, or its holder was a process of this machine that is gone."""
    return expires is None or expires < schema.now() or (owner is not None and _gone(owner))


@cache
def process() -> str:
    """A unique name of this process, never used by another one."""
    return f"{socket.gethostname()[:128]} {_machine()} {os.getpid()} {_started(os.getpid())}"


def host(owner: str) -> str:
    """A holder in readable form."""
    name, _, number, _ = owner.split(" ")
    return f"process {number} on {name}"


def _gone(owner: str) -> bool:
    name, machine, number, started = owner.split(" ")
    current = (socket.gethostname()[:128], _machine())
    return (name, machine) == current and _started(int(number)) != started


def _machine() -> str:
    """The boot of this machine and the PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink().name}"
    except OSError:
        return "unknown"


def _started(number: int) -> str:
    """When a process started, in ticks; "-" if there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "-"
    return "-" if fields[0] in "ZX" else fields[19]


def _row(connection: sa.Connection, sweep: str) -> Any:
    row = connection.execute(statements.HOLDER, {"of_id": sweep}).first()
    if row is None:
        raise NotFound("sweep", f"there is no sweep {sweep[:96]!r}; list the sweeps with `tailorbird sweeps list`")
    return row


def _ending(row: Any) -> str:
    """How a sweep that is taken over had ended."""
    if row.status == RUNNING:
        return f"abandoned by {host(row.owner)}"
    if row.status == "cancelled":
        return str(row.problem)
    return f"ended by an error: {row.problem}" if row.problem else str(row.status)


def _holder(row: Any) -> str:
    if row.status == RUNNING:
        return f"was taken over by {host(row.owner)}" if row.owner else "was taken over"
    return f"was {row.problem}" if row.status == "cancelled" else f"is {row.status}"
