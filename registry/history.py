"""What aliases pointed to: the log of their moves, which is only appended to, and what of it is still needed."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from registry import names, schema
from registry.core import Registry
from tailorbird.errors import NotFound

WINDOW = 5
"""How many earlier versions of each alias are kept from deletion, to roll back to."""

PAGE = 100


@dataclass(frozen=True)
class Move:
    """One line of the log; `kind` is promote or rollback, `gates` is what each gate said of the version."""

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
        """What the gates say that did not pass."""
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
        found = [Move(**row._mapping) for row in connection.execute(query)]
        if not found:
            check_model(connection, model)
    return found


def check_model(connection: sa.Connection, model: str) -> None:
    """Raise NotFound where nothing was ever registered as `model`."""
    if connection.scalar(sa.select(schema.models.c.name).filter_by(name=model)) is None:
        raise NotFound("model", f"there is no model {model!r}; `tailorbird registry list` shows those there are")


@dataclass(frozen=True)
class Deletion:
    """Which version was deleted, when, by whom and why."""

    number: int
    deleted: str
    who: str
    why: str


def deletions(registry: Registry, model: str, *, limit: int = PAGE) -> list[Deletion]:
    """The last deletions of a model's versions, newest first."""
    row = schema.deletions.c
    query = sa.select(row.number, row.deleted, row.who, row.why).filter_by(model=names.check("model", model))
    with registry.reading() as connection:
        return [Deletion(**one._mapping) for one in connection.execute(query.order_by(row.deleted.desc()).limit(limit))]


def earlier(connection: sa.Connection, model: str, alias: str) -> list[int]:
    """The versions that an alias could be rolled back to, the last one first."""
    move, deletion = schema.moves.c, schema.deletions.c
    query = sa.select(move.kind, move.to_number).filter_by(model=model, alias=alias).order_by(move.id)
    deleted = {*connection.scalars(sa.select(deletion.number).filter_by(model=model))}
    return [number for number in _walked(connection.execute(query))[-2::-1] if number not in deleted]


def needed(connection: sa.Connection, model: str) -> dict[int, str]:
    """The versions of a model that must stay, each with the reason."""
    kept: dict[int, str] = {}
    found = connection.execute(sa.select(schema.aliases).filter_by(model=model).order_by("alias")).all()
    for row in found:
        for number in earlier(connection, model, row.alias)[:WINDOW]:
            kept[number] = f"{model}@{row.alias} could be rolled back to it"
    return kept | {row.number: f"{model}@{row.alias} points to it" for row in found}


def _walked(log: Iterable[Any]) -> list[int]:
    """Where an alias has been, each version once, up to where it is: a rollback undoes the steps after its target."""
    path = dict[int, None]()
    for row in log:
        if row.kind == "rollback" and row.to_number in path:
            while next(reversed(path)) != row.to_number:
                path.popitem()
        else:
            path.pop(row.to_number, None)
            path[row.to_number] = None
    return [*path]
