"""Aliases: movable names of versions, moved by compare-and-set, with a history that is only appended to."""

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from registry import gates, names, schema
from registry.core import Registry
from registry.names import CHAMPION
from tailorbird.errors import Conflict, InvalidInput, NotFound, Refused

ANY = -1
"""Expected number of a promotion that takes the alias wherever it is; None expects it to be unset."""


@dataclass(frozen=True)
class Move:
    """One line of the history."""

    id: int
    model: str
    alias: str
    from_number: int | None
    to_number: int
    verdict: dict[str, Any]
    forced: bool
    why: str
    who: str
    moved: str

    def record(self) -> dict[str, Any]:
        return asdict(self)


def current(registry: Registry, model: str, alias: str = CHAMPION) -> int | None:
    """The number an alias points to, or None where it is unset."""
    with registry.reading() as connection:
        return _current(connection, names.check("model", model), names.check("alias", alias))


def promote(
    registry: Registry,
    model: str,
    number: int,
    *,
    why: str,
    who: str,
    alias: str = CHAMPION,
    expected: int | None = ANY,
    force: bool = False,
) -> Move:
    """Point `alias` at version `number` if it is where `expected` says and the gates pass.

    The alias, the line of history and the verdict commit together. Raises Conflict where the alias is elsewhere,
    Refused where a gate fails and `force` is not set, NotFound for a version that is not there.
    """
    names.check("model", model)
    names.check("alias", alias)
    if not why.strip():
        raise InvalidInput("why", "is empty; accepted: a sentence that the history will keep")
    with registry.atomic() as connection:
        before = _current(connection, model, alias)
        if expected != ANY and before != expected:
            raise Conflict(model, alias, expected, before)
        candidate = _evidence(connection, model, number)
        if candidate is None:
            raise NotFound(
                "version", f"there is no {model}:{number}; `tailorbird registry list {model}` shows those there are"
            )
        champion = None if before is None else _evidence(connection, model, before)
        verdict = gates.judge(candidate, champion)
        if not verdict.passed and not force:
            raise Refused(f"{model}:{number} as {alias}", verdict.reasons)
        _point(connection, model, alias, number, first=before is None)
        move: dict[str, Any] = {
            "model": model,
            "alias": alias,
            "from_number": before,
            "to_number": number,
            "verdict": verdict.record(),
            "forced": not verdict.passed,
            "why": why,
            "who": who,
            "moved": schema.now(),
        }
        logged = connection.execute(schema.moves.insert().values(**move).returning(schema.moves.c.id)).scalar_one()
    return Move(id=logged, **move)


def history(registry: Registry, model: str) -> list[Move]:
    """Every move of a model's aliases, newest first."""
    query = sa.select(schema.moves).filter_by(model=names.check("model", model)).order_by(schema.moves.c.id.desc())
    with registry.reading() as connection:
        moves = [Move(**row._mapping) for row in connection.execute(query)]
        known = connection.scalar(sa.select(schema.models.c.name).filter_by(name=model))
    if known is None:
        raise NotFound("model", f"there is no model {model!r}; `tailorbird registry list` shows those there are")
    return moves


def _current(connection: sa.Connection, model: str, alias: str) -> int | None:
    return connection.scalar(sa.select(schema.aliases.c.number).filter_by(model=model, alias=alias))


def _evidence(connection: sa.Connection, model: str, number: int) -> dict[str, Any] | None:
    return connection.scalar(sa.select(schema.versions.c.evidence).filter_by(model=model, number=number))


def _point(connection: sa.Connection, model: str, alias: str, number: int, *, first: bool) -> None:
    if first:
        connection.execute(schema.aliases.insert().values(model=model, alias=alias, number=number))
    else:
        connection.execute(schema.aliases.update().filter_by(model=model, alias=alias).values(number=number))
