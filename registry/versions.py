"""Versions: immutable, numbered packages of a named model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from registry import names, packages, schema
from registry.core import Registry
from registry.names import Reference
from tailorbird.errors import InvalidInput, NotFound


@dataclass(frozen=True)
class Version:
    """One row: which package it is, what was measured of it, and where it came from."""

    model: str
    number: int
    manifest: str
    evidence: dict[str, Any]
    lineage: dict[str, Any]
    who: str
    created: str
    aliases: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.model}:{self.number}"

    def record(self) -> dict[str, Any]:
        """The version as `--json` prints it."""
        return asdict(self) | {"aliases": list(self.aliases)}


def register(
    registry: Registry,
    model: str,
    files: Mapping[str, bytes],
    parity: Mapping[str, float],
    lineage: Mapping[str, Any],
    who: str,
) -> Version:
    """Store a package and make it the next version of `model`.

    `parity` is what the export measured against torch on the held-out split: `agreement` of labels (0 to 1),
    `max_difference` of probabilities and `samples`. The row is written last: a version that can be seen is whole.
    Raises InvalidInput for files that are not a package.
    """
    names.check("model", model)
    about = _storable(
        {
            "model": model,
            "created": schema.now(),
            "evidence": _evidence(files, parity),
            "lineage": dict(lineage),
        }
    )
    digest = packages.put(registry.blobs, files, about)
    row: dict[str, Any] = {**about, "manifest": digest, "who": who}
    with registry.atomic() as connection:
        number = _next_number(connection, model)
        connection.execute(schema.versions.insert().values(number=number, **row))
    return Version(number=number, **row)


def resolve(registry: Registry, reference: str | Reference) -> Version:
    """The version that `NAME`, `NAME@ALIAS` or `NAME:N` names; raises NotFound that says what there is."""
    wanted = Reference.parse(reference) if isinstance(reference, str) else reference
    with registry.reading() as connection:
        number = wanted.number
        if number is None:
            number = connection.scalar(
                sa.select(schema.aliases.c.number).filter_by(model=wanted.model, alias=wanted.alias)
            )
        found = connection.execute(sa.select(schema.versions).filter_by(model=wanted.model, number=number)).first()
        if found is None:
            raise NotFound("model", _what_there_is(connection, wanted))
        pointing = connection.scalars(
            sa.select(schema.aliases.c.alias).filter_by(model=wanted.model, number=number).order_by("alias")
        )
        return Version(**found._mapping, aliases=tuple(pointing))


def list_all(registry: Registry, model: str | None = None) -> list[Version]:
    """All versions, or those of one model, newest first within each model."""
    query = sa.select(schema.versions).order_by(schema.versions.c.model, schema.versions.c.number.desc())
    if model is not None:
        query = query.filter_by(model=names.check("model", model))
    with registry.reading() as connection:
        pointing: dict[tuple[str, int], list[str]] = {}
        for row in connection.execute(sa.select(schema.aliases).order_by("alias")):
            pointing.setdefault((row.model, row.number), []).append(row.alias)
        found = connection.execute(query).all()
    if model is not None and not found:
        raise NotFound("model", f"there is no model {model!r}; `tailorbird registry list` shows those there are")
    return [Version(**row._mapping, aliases=tuple(pointing.get((row.model, row.number), ()))) for row in found]


def verify(registry: Registry, version: Version) -> list[str]:
    """What is wrong with a version: files against sums, manifest against row; empty where it verifies."""
    found = list(packages.problems(registry.blobs, version.manifest))
    if not found:
        about = packages.manifest(registry.blobs, version.manifest)
        found = [
            f"{packages.MANIFEST}: its {key} is not that of the version's row"
            for key in ("model", "created", "evidence", "lineage")
            if about.get(key) != getattr(version, key)
        ]
    return found


def signature(registry: Registry, version: Version) -> dict[str, Any]:
    """What goes in and what comes out: `signature.json`."""
    return dict(json.loads(packages.file(registry.blobs, version.manifest, "signature.json")))


def export(registry: Registry, version: Version, folder: Path) -> Path:
    """Write the version's package out as a folder that must not exist yet."""
    if folder.exists():
        raise InvalidInput("path", f"{folder} exists already; accepted: a folder that is to be made")
    return packages.write(registry.blobs, version.manifest, folder.absolute())


def _evidence(files: Mapping[str, bytes], parity: Mapping[str, float]) -> dict[str, Any]:
    try:
        baseline = json.loads(files.get("baseline.json", b""))
        kept = {key: baseline.get(key) for key in ("accuracy", "standard_error", "samples", "test")}
        sound = 0 <= kept["accuracy"] <= 1
    except (ValueError, AttributeError, TypeError):
        sound = False
    if not sound:
        raise InvalidInput("package", "baseline.json must hold an accuracy from 0 to 1")
    return {**kept, "parity": dict(parity)}


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    """A record as it comes back from JSON, which has no tuples, and None for NaN."""
    return dict(json.loads(json.dumps(value), parse_constant=lambda _: None))


def _next_number(connection: sa.Connection, model: str) -> int:
    models = schema.models
    number = connection.scalar(
        models.update()
        .filter_by(name=model)
        .values(last_number=models.c.last_number + 1)
        .returning(models.c.last_number)
    )
    if number is None:
        connection.execute(models.insert().values(name=model, last_number=1, created=schema.now()))
        return 1
    return int(number)


def _what_there_is(connection: sa.Connection, wanted: Reference) -> str:
    numbers = connection.scalars(
        sa.select(schema.versions.c.number).filter_by(model=wanted.model).order_by(sa.desc("number")).limit(5)
    ).all()
    if not numbers:
        known = connection.scalars(sa.select(schema.models.c.name).order_by("name").limit(10)).all()
        there = f"registered are: {', '.join(known)}" if known else "the registry is empty; `tailorbird demo` fills it"
        return f"there is no model {wanted.model!r}; {there}"
    pointing = connection.scalars(sa.select(schema.aliases.c.alias).filter_by(model=wanted.model)).all()
    return (
        f"there is no {wanted}; {wanted.model} has the aliases {', '.join(pointing) or '(none)'} "
        f"and the versions {', '.join(map(str, numbers))}"
    )
