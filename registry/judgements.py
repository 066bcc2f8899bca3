"""Judgements of the watch on served versions, one row per change."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from registry import history, names, schema, versions
from registry.core import Registry
from registry.names import Reference

PAGE = 100


@dataclass(frozen=True)
class Judgement:
    """One row with its position `id` in the log: the state of a version, the action, the reason, and the figures."""

    id: int
    model: str
    number: int
    state: str
    action: str
    reasons: Sequence[str]
    evidence: Mapping[str, Any]
    who: str
    judged: str

    def record(self) -> dict[str, Any]:
        return asdict(self)


def add(
    registry: Registry,
    model: str,
    number: int,
    *,
    state: str,
    action: str,
    reasons: Sequence[str],
    evidence: Mapping[str, Any],
    who: str,
) -> Judgement | None:
    """Store a judgement of a version; returns None, and stores nothing, if the last row is the same.

    Raises NotFound for a version that never existed.
    """
    names.check_text("who", who, names.WHO)
    row: dict[str, Any] = {
        "model": names.check("model", model),
        "number": number,
        "state": state,
        "action": action,
        "reasons": list(reasons),
        "evidence": dict(evidence),
        "who": who,
        "judged": schema.now(),
    }
    with registry.atomic(f"model:{model}") as connection:
        versions.find(connection, Reference(model, number=number))
        last = next(iter(_page(connection, model, 1)), None)
        if last and (last.number, last.state, last.action) == (number, state, action):
            return None
        judgement = Judgement(history.enter(connection, model), **row)
        connection.execute(schema.judgements.insert().values(**judgement.record()))
    return judgement


def page(registry: Registry, model: str, *, limit: int = PAGE) -> list[Judgement]:
    """The last judgements of a model's versions, newest first."""
    with registry.reading() as connection:
        rows = _page(connection, names.check("model", model), limit)
        if not rows:
            history.check_model(connection, model)
    return rows


def _page(connection: sa.Connection, model: str, limit: int) -> list[Judgement]:
    query = sa.select(schema.judgements).filter_by(model=model).order_by(schema.judgements.c.id.desc()).limit(limit)
    return [Judgement(**row._mapping) for row in connection.execute(query)]
