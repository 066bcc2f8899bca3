"""Aliases: movable names of versions, moved by compare-and-set."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from registry import gates, history, holds, names, policy, schema, verification, versions, webhooks
from registry.core import Registry
from registry.history import Move
from registry.names import CHAMPION, Reference
from registry.requests import UNSET, Promotion, Request, Rollback
from registry.verdict import Verdict
from registry.version import Version
from tailorbird.errors import Conflict, InvalidInput, NotFound, Refused

SHOWN = 10
"""The most versions to roll back to that a message lists."""


def current(registry: Registry, model: str, alias: str = CHAMPION) -> int | None:
    """The number an alias points to, or None if it is unset."""
    with registry.asking() as connection:
        return _current(connection, names.check("model", model), names.check_alias("alias", alias))


def promote(registry: Registry, asked: Promotion) -> Move:
    """Point an alias at a version if it points to the expected one and the gates pass.

    Alias, verdict and the row of history commit together, and webhooks are sent afterwards; the verdict of a refusal is
    stored too. Raises Conflict if the alias points elsewhere, Refused by the gates or if it points to that version
    already (then nothing is written), and NotFound if there is no such version.
    """
    rules = policy.load(registry.settings.gates).of(asked.model, asked.alias)
    while True:
        candidate, holder = _compared(registry, asked)
        mine = verification.examined(registry, candidate)
        theirs = verification.read(registry, holder) if holder else None
        verdict = gates.judge(mine, theirs, rules, _judged_before(registry, candidate, gates.split(mine)))
        number = holder.number if holder else None
        may = verdict.passed or (asked.force and verdict.intact)
        moved = _decide(registry, asked, _Judged(candidate, number, verdict, rules.record(), may))
        if moved is not None:
            return moved


def rollback(registry: Registry, asked: Rollback) -> Move:
    """Point an alias at a version that it had before.

    Raises Conflict if the alias does not point to the expected version, and Refused if there is no earlier one, or it
    does not verify. A version that was rolled back from is not a target: it has to be promoted, and so judged, again.
    """
    while True:
        with registry.reading() as connection:
            holder = _expected(connection, asked)
            before = _way_back(connection, asked)
            if not before:
                history.check_model(connection, asked.model)
        target = _target(registry, asked, before)
        verdict = gates.verify(verification.examined(registry, target))
        moved = _decide(registry, asked, _Judged(target, holder, verdict, {}, verdict.passed))
        if moved is not None:
            return moved


def _compared(registry: Registry, asked: Promotion) -> tuple[Version, Version | None]:
    """The candidate, and the version that holds the alias, if it is another one."""
    with registry.reading() as connection:
        candidate = versions.find(connection, Reference(asked.model, number=asked.number))
        holder = _expected(connection, asked)
        if holder == asked.number:
            raise Refused(f"{candidate} as {asked.alias}", [f"{candidate} is {asked.model}@{asked.alias} already"])
        return candidate, None if holder is None else versions.find(connection, Reference(asked.model, number=holder))


def _expected(connection: sa.Connection, asked: Request) -> int | None:
    """The version that holds the alias; raises Conflict if it is not the expected one."""
    holder = _current(connection, asked.model, asked.alias)
    if asked.expect is not None and asked.expect != (holder or UNSET):
        raise Conflict(asked.model, asked.alias, asked.expect, holder)
    return holder


@dataclass(frozen=True)
class _Judged:
    """A version, its verdict against `holder`, the policy, and whether it may have the alias."""

    version: Version
    holder: int | None
    verdict: Verdict
    rules: Mapping[str, Any]
    may: bool


def _decide(registry: Registry, asked: Request, judged: _Judged) -> Move | None:
    """Store the verdict and, if it allows that, move the alias and queue webhooks.

    None if the alias has moved meanwhile.
    """
    version = judged.version
    with registry.atomic(f"model:{asked.model}") as connection:
        if _current(connection, asked.model, asked.alias) != judged.holder:
            return None
        if isinstance(asked, Rollback) and version.number not in history.earlier(connection, asked.model, asked.alias):
            return None  # it has moved away and back, so its history is another one
        hold = holds.on(connection, asked.model) if asked.automatic else None
        if versions.gone(connection, version.model, version.number):
            raise NotFound("version", f"there is no {version}: it was deleted just now")
        number = _store(connection, asked, judged)
        if judged.may and hold is None:
            moved = _move(connection, asked, judged, number)
            webhooks.enqueue(connection, registry.settings, moved.record())
    if hold is not None:
        raise Refused(f"{version} as {asked.alias}", [str(hold)])
    if not judged.may:
        raise Refused(f"{version} as {asked.alias}", judged.verdict.reasons)
    webhooks.tell(registry)
    return moved


def _way_back(connection: sa.Connection, asked: Rollback) -> list[int]:
    """The versions that an alias could be rolled back to: the last one, or all down to the requested one."""
    before = []
    for number in history.earlier(connection, asked.model, asked.alias):
        before.append(number)
        if asked.to in (None, number):
            break
    return before


def _target(registry: Registry, asked: Rollback, before: list[int]) -> Version:
    name = f"{asked.model}@{asked.alias}"
    if asked.to is None and not before:
        raise Refused(f"rolling back {name}", ["it has no previous version"])
    if asked.to is not None and asked.to not in before:
        had = ", ".join(map(str, before[:SHOWN])) or "none"
        had += ", …" if before[SHOWN:] else ""
        raise InvalidInput(
            "to",
            f"{name} cannot be rolled back to version {asked.to}; accepted: {had}; "
            f"promote any other version with `tailorbird registry promote`",
        )
    return versions.resolve(registry, Reference(asked.model, number=before[0] if asked.to is None else asked.to))


def _store(connection: sa.Connection, asked: Request, judged: _Judged) -> int:
    """Store the verdict; returns its number."""
    record = judged.verdict.record()
    row = {
        "model": asked.model,
        "number": judged.version.number,
        "alias": asked.alias,
        "holder": judged.holder,
        "policy": judged.rules,
        "who": asked.who,
        "judged": schema.now(),
        **{key: record[key] for key in ("passed", "split", "gates")},
    }
    number: int = connection.execute(_judged(), row).scalar_one()
    return number


def _move(connection: sa.Connection, asked: Request, judged: _Judged, verdict: int) -> Move:
    number = judged.version.number
    if judged.holder is None:
        connection.execute(schema.aliases.insert(), {"model": asked.model, "alias": asked.alias, "number": number})
    else:
        bound = {"of_model": asked.model, "of_alias": asked.alias, "number": number}
        connection.execute(_pointed_elsewhere(), bound)
    row: dict[str, Any] = {
        "id": history.enter(connection, asked.model),
        "model": asked.model,
        "alias": asked.alias,
        "kind": asked.kind,
        "from_number": judged.holder,
        "to_number": number,
        "forced": not judged.verdict.passed,
        "why": asked.why,
        "who": asked.who,
        "moved": schema.now(),
    }
    connection.execute(schema.moves.insert(), {**row, "verdict": verdict})
    return Move(gates=judged.verdict.record()["gates"], **row)


def _judged_before(registry: Registry, candidate: Version, split: str | None) -> int:
    """The number of other versions that were judged on the same held-out images."""
    if split is None:
        return 0
    named = {"split": split, "model": candidate.model, "number": candidate.number}
    with registry.asking() as connection:
        return connection.scalar(_judged_by(), named) or 0


def _current(connection: sa.Connection, model: str, alias: str) -> int | None:
    number: int | None = connection.scalar(_pointed(), {"of_model": model, "of_alias": alias})
    return number


# Statements are built once: SQLAlchemy takes longer to build one than SQLite to answer it.


@cache
def _judged() -> sa.Executable:
    """Adds a verdict, and returns its number."""
    return schema.verdicts.insert().returning(schema.verdicts.c.id)


@cache
def _pointed() -> sa.Select[Any]:
    alias = schema.aliases.c
    return sa.select(alias.number).where(
        alias.model == sa.bindparam("of_model"), alias.alias == sa.bindparam("of_alias")
    )


@cache
def _pointed_elsewhere() -> sa.Update:
    alias = schema.aliases
    mine = [alias.c.model == sa.bindparam("of_model"), alias.c.alias == sa.bindparam("of_alias")]
    return alias.update().where(*mine).values(number=sa.bindparam("number"))


@cache
def _judged_by() -> sa.Select[Any]:
    verdict = schema.verdicts.c
    other = sa.or_(verdict.model != sa.bindparam("model"), verdict.number != sa.bindparam("number"))
    judged = sa.select(verdict.model, verdict.number).where(verdict.split == sa.bindparam("split"), other).distinct()
    return sa.select(sa.func.count()).select_from(judged.subquery())
