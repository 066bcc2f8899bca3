"""The history of aliases: the append-only log of their moves, and the versions in it that must be kept."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from typing import Any

import sqlalchemy as sa

from registry import names, schema
from registry.core import Registry
from tailorbird.errors import NotFound

WINDOW = 5
"""The number of earlier versions of each alias that cannot be deleted, to roll back to."""

PAGE = 100
CHUNK = 100
"""The number of moves that are read at a time when walking backwards."""
LAST = 2**31 - 1
"""No move has a higher id."""


@dataclass(frozen=True)
class Move:
    """A move with its position `id` in the log; `kind` is promote or rollback, `gates` are the results of the gates."""

    id: int
    model: str
    alias: str
    kind: str
    from_number: int | None
    to_number: int
    gates: list[dict[str, Any]]
    forced: bool
    why: str
    who: str
    moved: str

    @property
    def reasons(self) -> list[str]:
        """The messages of the gates that failed."""
        return [gate["message"] for gate in self.gates if not gate["passed"]]

    def record(self) -> dict[str, Any]:
        return asdict(self)


def moves(registry: Registry, model: str, *, limit: int = PAGE) -> list[Move]:
    """The last moves of a model's aliases, newest first."""
    move, verdict = schema.moves.c, schema.verdicts.c
    query = (
        sa.select(*(move[name] for name in Move.__annotations__ if name != "gates"), verdict.gates)
        .join(schema.verdicts, verdict.id == move.verdict)
        .where(move.model == names.check("model", model))
        .order_by(move.id.desc())
        .limit(limit)
    )
    with registry.reading() as connection:
        moves = [Move(**row._mapping) for row in connection.execute(query)]
        if not moves:
            check_model(connection, model)
    return moves


def enter(connection: sa.Connection, model: str) -> int:
    """A new position in the log, after all earlier ones of a model; requires its lock."""
    entry: int = connection.execute(_entered(), {"model": model}).scalar_one()
    return entry


def check_model(connection: sa.Connection, model: str) -> None:
    """Raise NotFound if nothing was ever registered as `model`."""
    if connection.scalar(sa.select(schema.models.c.name).filter_by(name=model)) is None:
        raise NotFound("model", f"there is no model {model!r}; list the models with `tailorbird registry list`")


@dataclass(frozen=True)
class Deletion:
    """Which version was deleted, when, by whom and why; `id` is its position in the log."""

    id: int
    number: int
    deleted: str
    who: str
    why: str


def deletions(registry: Registry, model: str, *, limit: int = PAGE) -> list[Deletion]:
    """The last deletions of a model's versions, newest first."""
    row = schema.deletions.c
    query = sa.select(row.id, row.number, row.deleted, row.who, row.why).filter_by(model=names.check("model", model))
    with registry.reading() as connection:
        return [Deletion(**row._mapping) for row in connection.execute(query.order_by(row.id.desc()).limit(limit))]


def earlier(connection: sa.Connection, model: str, alias: str) -> Iterator[int]:
    """The versions that an alias could be rolled back to, the last one first.

    The log is read backwards, within the caller's transaction, and only as far as the caller iterates.
    """
    walked = _walked(_backwards(connection, model, alias))
    next(walked, None)  # its current version
    for row in walked:
        if not row.gone:
            yield row.to_number


def needed(connection: sa.Connection, model: str) -> dict[int, str]:
    """The versions of a model that must stay, each with the reason."""
    kept: dict[int, str] = {}
    rows = connection.execute(sa.select(schema.aliases).filter_by(model=model).order_by("alias")).all()
    for row in rows:
        for number in islice(earlier(connection, model, row.alias), WINDOW):
            kept[number] = f"{model}@{row.alias} could be rolled back to it"
    return kept | {row.number: f"{model}@{row.alias} points to it" for row in rows}


def _walked(log: Iterable[Any]) -> Iterator[Any]:
    """The rows of a log, newest first, that lead to the versions an alias has had, each version once.

    A rollback undoes the moves after its target, which are left out.
    """
    seen, undoing = set[int](), list[int]()
    for row in log:
        while undoing and undoing[-1] == row.to_number:
            undoing.pop()
        if not undoing and row.to_number not in seen:
            yield row
        seen.add(row.to_number)
        if row.kind == "rollback":
            undoing.append(row.to_number)


def _backwards(connection: sa.Connection, model: str, alias: str) -> Iterator[sa.Row[Any]]:
    """The moves of an alias, newest first, until each version that it had and that is not deleted was yielded."""
    named = {"of_model": model, "of_alias": alias, "limit": CHUNK, "before": LAST}
    seen = set[int]()
    while True:
        rows = connection.execute(_before(), named).all()
        yield from rows
        seen.update(row.to_number for row in rows if not row.gone)
        more = {"of_model": model, "of_alias": alias, "limit": len(seen) + 1}
        if len(rows) < CHUNK or connection.scalar(_had(), more) == len(seen):
            return
        named["before"] = rows[-1].id


@cache
def _entered() -> sa.Executable:
    return schema.log.insert().returning(schema.log.c.id)


@cache
def _before() -> sa.Select[Any]:
    """At most `limit` moves of an alias before the one with the id `before`, newest first."""
    move, gone = schema.moves.c, _gone(schema.moves.c.to_number)
    mine = [move.model == sa.bindparam("of_model"), move.alias == sa.bindparam("of_alias")]
    return (
        sa.select(move.id, move.kind, move.to_number, gone.label("gone"))
        .where(*mine, move.id < sa.bindparam("before"))
        .order_by(move.id.desc())
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


@cache
def _had() -> sa.Select[Any]:
    """The number of existing versions that an alias has had, counted up to `limit`.

    It skips from one to the next in the index, however many moves there were to each.
    """
    move = schema.moves.c
    first = sa.select(sa.func.min(move.to_number)).where(
        move.model == sa.bindparam("of_model"), move.alias == sa.bindparam("of_alias")
    )
    had = sa.select(first.scalar_subquery().label("number")).cte("had", recursive=True)
    following = first.where(move.to_number > had.c.number).correlate(had).scalar_subquery()
    had = had.union_all(sa.select(following).where(had.c.number.is_not(None)))
    existing = sa.select(had.c.number).where(had.c.number.is_not(None), ~_gone(had.c.number))
    return sa.select(sa.func.count()).select_from(existing.limit(sa.bindparam("limit", type_=sa.Integer)).subquery())


def _gone(number: sa.ColumnElement[int]) -> sa.Exists:
    deletion = schema.deletions.c
    return sa.exists().where(deletion.model == sa.bindparam("of_model"), deletion.number == number)
