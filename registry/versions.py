"""Versions: immutable, numbered packages of a named model."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from registry import history, leases, names, packages, schema, signing
from registry.core import BLOBS, Registry
from registry.leases import Lease
from registry.names import Reference
from registry.version import Version
from tailorbird.errors import Corrupt, InvalidInput, NotFound, Refused, Unavailable
from tailorbird.package import config, curves, environment, heldout, samples
from tailorbird.package.baseline import Baseline
from tailorbird.package.estimator import Fit
from tailorbird.package.heldout import Heldout
from tailorbird.package.lineage import Lineage
from tailorbird.package.manifest import About
from tailorbird.package.measurements import Export, Measurements
from tailorbird.package.samples import Samples
from tailorbird.package.signature import Signature

PAGE = 100
COLUMNS = ("model", "number", "manifest", "evidence", "lineage", "who", "created", "signature")
ATTEMPTS = 5


def register(
    registry: Registry,
    model: str,
    files: Mapping[str, bytes],
    export: Export,
    lineage: Lineage,
    who: str,
    lease: Lease | None = None,
) -> Version:
    """Store a package and register it as the next version of `model`.

    `export` are measurements that are in no file of it. The row is written last, in a transaction that checks every
    file, so a visible version is complete. Raises InvalidInput for files that are not a package, and LeaseLost if
    another process has taken over the sweep of the `lease`.
    """
    names.check("model", model)
    names.check_text("who", who, names.WHO)
    figures = Measurements.of_package(_read(files), export)
    lineage = lineage.storable()
    about = About(model=model, created=schema.now(), evidence=figures, lineage=lineage)
    for _ in range(ATTEMPTS):
        digest = packages.put(registry.blobs, files, about)
        key = registry.settings.signing_key
        signature = None if key is None else signing.sign(key, digest, model)
        row: dict[str, Any] = {"manifest": digest, "who": who, "signature": signature}
        shared = BLOBS + "?"
        with leases.writing(registry, lease, shared) if lease else registry.atomic(shared) as connection:
            if packages.held(registry.blobs, digest):  # else a collection has deleted some meanwhile
                registry.database.lock(connection, f"model:{model}")  # after a query of the store, which may be slow
                number = _next_number(connection, model)
                row |= {**about.record(), "number": number}
                connection.execute(schema.versions.insert(), {**row, "id": history.enter(connection, model)})
                return Version.of({**row, "aliases": ()})
    raise Unavailable(f"files of {model} disappear from {registry.blobs.place(digest)} as soon as they are stored")


def resolve(registry: Registry, reference: str | Reference) -> Version:
    """The version that `NAME`, `NAME@ALIAS` or `NAME:N` names.

    Raises NotFound that lists what exists, and Corrupt if its row is damaged.
    """
    wanted = Reference.parse(reference) if isinstance(reference, str) else reference
    with registry.asking() as connection:
        return find(connection, wanted)


def find(connection: sa.Connection, wanted: Reference) -> Version:
    """The same within a transaction."""
    named = {"wanted": wanted.model, "alias": wanted.alias, "number": wanted.number}
    row = connection.execute(_named(wanted.number is None), named).first()
    if row is None:
        raise _missing(connection, wanted)
    return _version(row).checked()


def recall(registry: Registry, model: str, number: int) -> Version:
    """A version by its number, also one that was deleted."""
    with registry.asking() as connection:
        row = connection.execute(_numbered(), {"wanted": names.check("model", model), "number": number}).first()
        if row is None:
            raise _missing(connection, Reference(model, number=number))
    return _version(row)


def page(
    registry: Registry, model: str | None = None, *, limit: int = PAGE, before: Version | None = None
) -> list[Version]:
    """At most `limit` versions of all models, or of one, newest first, starting after `before` if it is passed."""
    bounds: dict[str, Any] = {"limit": limit}
    if model is not None:
        bounds["wanted"] = names.check("model", model)
    if before is not None:
        bounds |= {"last_model": before.model, "last_number": before.number}
    with registry.asking() as connection:
        rows = connection.execute(_page(model is not None, before is not None), bounds).all()
        if model is not None and not rows and before is None:
            history.check_model(connection, model)
    return [_version(row) for row in rows]


def every(registry: Registry, model: str | None = None) -> Iterator[Version]:
    """All versions, or those of one model, newest first."""
    versions = page(registry, model)
    while versions:
        yield from versions
        versions = page(registry, model, before=versions[-1])


def delete(registry: Registry, model: str, number: int, *, why: str, who: str) -> None:
    """Delete a version; its number is not used again, its files are deleted by the next collection.

    Raises Refused if an alias points to it or could be rolled back to it.
    """
    names.check_text("why", why)
    names.check_text("who", who, names.WHO)
    version = resolve(registry, Reference(names.check("model", model), number=number))
    with registry.atomic(f"model:{model}") as connection:
        needed = history.needed(connection, model).get(number)
        if needed:
            raise Refused(f"deleting {version}", [needed])
        if gone(connection, model, number):  # another process was first
            raise NotFound("version", f"there is no {version}")
        row = {"model": model, "number": number, "why": why, "who": who, "deleted": schema.now()}
        row["id"] = history.enter(connection, model)
        connection.execute(schema.deletions.insert().values(**row))


def gone(connection: sa.Connection, model: str, number: int) -> bool:
    """Whether a version was deleted."""
    return connection.scalar(_deleted(), {"model": model, "number": number}) is not None


def tag(registry: Registry, version: Version, changes: Mapping[str, str]) -> dict[str, str]:
    """Set tags of a version, and remove those with an empty value; returns all its tags."""
    for key, value in changes.items():
        names.check("tag", key)
        if value:
            names.check_text(f"tag {key}", value)
    table = schema.tags
    mine: dict[str, Any] = {"model": version.model, "number": version.number}
    with registry.atomic(f"model:{version.model}") as connection:
        if gone(connection, version.model, version.number):
            raise NotFound("version", f"there is no {version}")
        for key, value in changes.items():
            connection.execute(table.delete().filter_by(**mine, key=key))
            if value:
                connection.execute(table.insert().values(**mine, key=key, value=value))
    return tags(registry, version)


def tags(registry: Registry, version: Version) -> dict[str, str]:
    """The tags of a version, by key."""
    table = schema.tags.c
    query = sa.select(table.key, table.value).filter_by(model=version.model, number=version.number).order_by(table.key)
    with registry.reading() as connection:
        return {row.key: row.value for row in connection.execute(query)}


# Queries are built once: SQLAlchemy takes longer to build one than SQLite to answer it.


@cache
def _named(by_alias: bool) -> sa.Select[Any]:
    """The version that the parameters `wanted` and `alias`, or `wanted` and `number`, name."""
    row, alias = schema.versions.c, schema.aliases.c
    wanted = sa.bindparam("wanted", type_=row.model.type)
    mine = _visible().where(row.model == wanted)
    if not by_alias:
        return mine.where(row.number == sa.bindparam("number"))
    # not `alias.model == row.model`, with which PostgreSQL would look up the alias for each version of the model
    pointed = sa.select(alias.number).where(alias.model == wanted, alias.alias == sa.bindparam("alias"))
    return mine.where(row.number == pointed.scalar_subquery())


@cache
def _numbered() -> sa.Select[Any]:
    """The version that the parameters `wanted` and `number` name, deleted or not."""
    row = schema.versions.c
    return _rows().where(row.model == sa.bindparam("wanted"), row.number == sa.bindparam("number"))


@cache
def _deleted() -> sa.Select[Any]:
    row = schema.deletions.c
    return sa.select(row.number).where(row.model == sa.bindparam("model"), row.number == sa.bindparam("number"))


@cache
def _counted_up() -> sa.Executable:
    model = schema.models
    counted = model.update().where(model.c.name == sa.bindparam("wanted")).values(last_number=model.c.last_number + 1)
    return counted.returning(model.c.last_number)


@cache
def _page(of_one: bool, continued: bool) -> sa.Select[Any]:
    """At most `limit` versions, of the model `wanted` or of all, after the version `last_number` of `last_model`."""
    row, last = schema.versions.c, schema.versions.alias().c
    order, number = (row.number if of_one else row.id), sa.bindparam("last_number", type_=row.number.type)
    query = _visible().order_by(order.desc()).limit(sa.bindparam("limit", type_=sa.Integer))
    if of_one:
        query = query.where(row.model == sa.bindparam("wanted"))
    if continued and of_one:
        query = query.where(row.number < number)
    elif continued:
        before = sa.select(last.id).where(last.model == sa.bindparam("last_model"), last.number == number)
        query = query.where(row.id < before.scalar_subquery())
    return query


def _visible() -> sa.Select[Any]:
    """Versions that were not deleted."""
    row, deletion = schema.versions.c, schema.deletions.c
    return _rows().where(~sa.exists().where(deletion.model == row.model, deletion.number == row.number))


def _rows() -> sa.Select[Any]:
    """Versions by COLUMNS, with the aliases that point to them."""
    row, alias = schema.versions.c, schema.aliases.alias().c
    pointing = sa.select(sa.func.aggregate_strings(alias.alias, " ")).where(
        alias.model == row.model, alias.number == row.number
    )
    return sa.select(*(row[name] for name in COLUMNS), pointing.scalar_subquery().label("aliases"))


def _version(row: sa.Row[Any]) -> Version:
    model, number, manifest, evidence, lineage, who, created, signature, aliases = list(row)
    columns = {"evidence": evidence, "lineage": lineage}
    return Version(model, number, manifest, columns, who, created, signature, tuple(sorted((aliases or "").split())))


def _read(files: Mapping[str, bytes]) -> Baseline:
    """The baseline of a new package, after parsing all its typed files."""
    try:
        signature = Signature.parse(files.get(Signature.file, b""))
        baseline = Baseline.parse(files.get(Baseline.file, b"")).check(signature.classes)
        parsers: dict[str, Callable[[bytes], object]] = {
            heldout.FILE: lambda data: Heldout.parse(data, len(signature.classes)),
            config.FILE: config.parse,
            curves.FILE: curves.parse,
            environment.FILE: environment.parse,
            Fit.file: lambda data: Fit.parse(data).check(signature.classes),
            samples.FILE: lambda data: Samples.parse(data, signature),
        }
        for name, parse in parsers.items():
            if name in files:
                parse(files[name])
    except Corrupt as error:
        raise InvalidInput("package", str(error)) from None
    return baseline


def _next_number(connection: sa.Connection, model: str) -> int:
    number = connection.scalar(_counted_up(), {"wanted": model})
    if number is None:
        connection.execute(schema.models.insert(), {"name": model, "last_number": 1, "created": schema.now()})
        return 1
    return int(number)


def _missing(connection: sa.Connection, wanted: Reference) -> NotFound:
    """The error for a missing version: it says which part of the name is wrong, and what exists."""
    row = schema.versions.c
    part = "alias" if wanted.number is None else "version"
    numbers = [
        row.number
        for row in connection.execute(_visible().where(row.model == wanted.model).order_by(row.number.desc()).limit(5))
    ]
    if not numbers:
        known = connection.scalars(sa.select(schema.models.c.name).order_by("name").limit(10)).all()
        if wanted.model in known:
            return NotFound(part, f"there is no {wanted}; all versions of {wanted.model} are deleted")
        registered = (
            f"registered models: {', '.join(known)}"
            if known
            else "the registry is empty; `tailorbird demo` registers a first model"
        )
        return NotFound("model", f"there is no model {wanted.model!r}; {registered}")
    pointing = connection.scalars(sa.select(schema.aliases.c.alias).filter_by(model=wanted.model)).all()
    return NotFound(
        part,
        f"there is no {wanted}; {wanted.model} has the aliases {', '.join(pointing) or '(none)'} "
        f"and the versions {', '.join(map(str, numbers))}",
    )
