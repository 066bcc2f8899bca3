"""Garbage collection: deletes blobs that no version and no sweep needs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from registry import packages, schema
from registry.core import BATCH, BLOBS, Registry
from tailorbird.errors import Corrupt, Refused

AGE = timedelta(days=1)
"""Younger blobs are kept, since their rows may follow, and so are recently deleted versions, which may still be read.
"""

WRITING = timedelta(hours=1)
"""Until this age, a hidden file counts as being written, whatever age is requested."""

FORGOTTEN = timedelta(days=30)
"""Time after which an ended sweep can no longer be extended or thawed."""


@dataclass(frozen=True)
class Collected:
    """The number and bytes of blobs that were deleted, or would be, and of those that stay."""

    deleted: int
    bytes: int
    kept: int

    def record(self) -> dict[str, Any]:
        return asdict(self)


def collect(registry: Registry, *, age: timedelta = AGE, dry_run: bool = False) -> Collected:
    """Delete blobs older than `age` that are not needed, and leftovers of killed writers.

    Needed are the packages of versions, also of those deleted within `age`; the last checkpoint of each trial that is
    not outranked; and the state that a sweep resumes from, unless it has been idle for `FORGOTTEN`. Transactions that
    write rows with names of blobs check that these exist, and wait during a deletion. Raises Corrupt, and deletes
    nothing, if a manifest cannot be read, and Refused if the database was never used, and so does not belong to the
    store.
    """
    before, packaged = datetime.now(UTC) - age, dict[str, frozenset[str]]()
    _read(registry, before, packaged)
    with registry.reading() as connection:
        needed = _needed(registry, connection, before, packaged)
    blobs = list(registry.blobs.listing())
    if blobs and not _used(registry):
        raise Refused(
            "collecting garbage",
            [f"the store has {len(blobs):,} files, and the database {registry.database.name} has never held a version "
             f"or a sweep; check TAILORBIRD_DATABASE_URL"],
        )  # fmt: skip
    old = [blob for blob in blobs if blob.digest not in needed and blob.modified < before]
    gone = dict[str, int]()
    for start in range(0, len(old), BATCH):
        batch = {blob.digest: blob.size for blob in old[start : start + BATCH]}
        if not dry_run:
            batch = _delete(registry, batch, before, packaged)
        gone |= batch
    if not dry_run:
        dead = min(before, datetime.now(UTC) - WRITING)
        registry.blobs.discard(leftover for leftover in registry.blobs.leftovers() if leftover.modified < dead)
    return Collected(len(gone), sum(gone.values()), len(blobs) - len(gone))


def discard(registry: Registry, digests: Iterable[str], packaged: dict[str, frozenset[str]]) -> None:
    """Delete those of these blobs that are no longer needed, however young; `packaged` is a cache between calls.

    Raises Corrupt, and deletes nothing, if a manifest cannot be read.
    """
    now, gone = datetime.now(UTC), [*digests]
    _read(registry, now, packaged)
    for start in range(0, len(gone), BATCH):
        _delete(registry, dict.fromkeys(gone[start : start + BATCH], 0), now, packaged)


def _used(registry: Registry) -> bool:
    """Whether the database has ever had a version or a sweep; otherwise it probably does not belong to the store."""
    with registry.reading() as connection:
        return any(connection.scalar(sa.select(sa.exists(table.select()))) for table in (schema.models, schema.sweeps))


def _read(registry: Registry, before: datetime, packaged: dict[str, frozenset[str]]) -> None:
    """Add the packages that are not in the cache yet, which would take too long in a transaction."""
    with registry.reading() as connection:
        manifests = connection.scalars(_manifests(before)).all()
    packaged |= {manifest: _package(registry, manifest) for manifest in manifests if manifest not in packaged}


def _delete(
    registry: Registry, batch: dict[str, int], before: datetime, packaged: dict[str, frozenset[str]]
) -> dict[str, int]:
    """Delete blobs that are still not needed, while no row that names one can be written."""
    with registry.atomic(BLOBS) as connection:
        needed = _needed(registry, connection, before, packaged, list(batch))
        gone = {digest: size for digest, size in batch.items() if digest not in needed}
        registry.blobs.delete(gone)
    return gone


def _needed(
    registry: Registry,
    connection: sa.Connection,
    before: datetime,
    packaged: dict[str, frozenset[str]],
    among: Sequence[str] | None = None,
) -> set[str]:
    """The digests that are needed, of all or of the passed ones.

    `packaged` caches the contents of packages, which never change, between calls.
    """
    needed: set[str] = set()
    for select in (_checkpoints(), _states(), _answers()):
        (column,) = select.selected_columns
        needed |= set(connection.scalars(select if among is None else select.where(column.in_(among))))
    for manifest in connection.scalars(_manifests(before)):
        if manifest not in packaged:
            packaged[manifest] = _package(registry, manifest)
        needed |= packaged[manifest]
    return needed


def _package(registry: Registry, manifest: str) -> frozenset[str]:
    try:
        files = packages.manifest(registry.blobs, manifest).files
    except Corrupt as error:
        if not _visible(registry, manifest):  # deleted just now, perhaps by another collection
            return frozenset({manifest})
        raise Corrupt(f"{error}, so its files are unknown and nothing is deleted; delete its version first") from None
    return frozenset({manifest, *(entry.sha256 for entry in files.values())})


def _visible(registry: Registry, manifest: str) -> bool:
    with registry.reading() as connection:
        return manifest in connection.scalars(_manifests(datetime.max.replace(tzinfo=UTC))).all()


def _manifests(before: datetime) -> sa.Select[Any]:
    version, deletion = schema.versions.c, schema.deletions.c
    gone = sa.exists().where(
        deletion.model == version.model,
        deletion.number == version.number,
        deletion.deleted < schema.timestamp(before),
    )
    return sa.select(version.manifest).where(~gone)


def _checkpoints() -> sa.Select[Any]:
    """The last checkpoint of each trial, which is its best, except for outranked trials."""
    report, trial = schema.reports.c, schema.trials.c
    later = schema.reports.alias().c
    superseded = sa.exists().where(
        later.sweep == report.sweep,
        later.trial == report.trial,
        later.epoch > report.epoch,
        later.checkpoint.is_not(None),
    )
    ranked = sa.exists().where(trial.sweep == report.sweep, trial.number == report.trial, ~trial.outranked)
    return sa.select(report.checkpoint).where(report.checkpoint.is_not(None), ~superseded, ranked)


def _states() -> sa.Select[Any]:
    """States of sweeps that can still be resumed, except those idle for long."""
    group, sweep = schema.groups.c, schema.sweeps.c
    forgotten = schema.timestamp(datetime.now(UTC) - FORGOTTEN)
    latest = sa.func.coalesce(sweep.ended, sweep.expires, sweep.created)
    return (
        sa.select(group.state)
        .join(schema.sweeps, sweep.id == group.sweep)
        .where(group.state.is_not(None), latest >= forgotten)
    )


def _answers() -> sa.Select[Any]:
    return sa.select(schema.trials.c.answers).where(schema.trials.c.answers.is_not(None))
