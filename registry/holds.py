"""Holds: while a model has one, only people move its aliases."""

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from registry import history, names, schema
from registry.core import Registry


@dataclass(frozen=True)
class Hold:
    """The start or the end of a hold on a model, with its reason; `id` is its position in the log."""

    id: int
    model: str
    held: bool
    why: str
    who: str
    since: str

    def __str__(self) -> str:
        since = self.since[:19]
        return f"{self.model} is on hold by {self.who} since {since} UTC ({self.why}): only people move its aliases"

    def record(self) -> dict[str, Any]:
        return asdict(self)


def hold(registry: Registry, model: str, *, held: bool, why: str, who: str) -> Hold:
    """Stop automatic moves of a model's aliases, or (`held=False`) allow them again."""
    names.check_text("why", why)
    names.check_text("who", who, names.WHO)
    names.check("model", model)
    with registry.atomic(f"model:{model}") as connection:
        history.check_model(connection, model)
        row = Hold(history.enter(connection, model), model, held, why, who, schema.now())
        connection.execute(schema.holds.insert().values(**asdict(row)))
    return row


def current(registry: Registry, model: str) -> Hold | None:
    """The hold on a model, if there is one."""
    with registry.reading() as connection:
        return on(connection, names.check("model", model))


def on(connection: sa.Connection, model: str) -> Hold | None:
    """The same within a transaction."""
    row = schema.holds.c
    query = sa.select(schema.holds).where(row.model == model).order_by(row.id.desc()).limit(1)
    last = connection.execute(query).first()
    return Hold(**last._mapping) if last is not None and last.held else None
