"""Aliases: movable names of versions, moved by compare-and-set."""

from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry import evidence, gates, history, names, schema, versions, webhooks
from registry.core import Registry
from registry.gates import Verdict
from registry.history import Move
from registry.names import CHAMPION, Reference
from registry.versions import Version
from tailorbird.errors import Conflict, InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from registry.policy import Policy

ANY = -1
"""Expected number of a promotion that takes the alias wherever it is; None expects it to be unset."""

SHOWN = 10
"""How many versions a message names that there is a way back to."""


@dataclass(frozen=True)
class Hold:
    """Since when and why only people move a model's aliases, or do no longer."""

    model: str
    held: bool
    why: str
    who: str
    since: str

    def record(self) -> dict[str, Any]:
        return asdict(self)


def current(registry: Registry, model: str, alias: str = CHAMPION) -> int | None:
    """The number an alias points to, or None where it is unset."""
    with registry.asking() as connection:
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
    automatic: bool = False,
) -> Move:
    """Point `alias` at version `number` if it is where `expected` says and the gates pass.

    Alias, verdict and the line of history commit together; the verdict of a refusal is kept too. `force` moves it
    against the verdict, though never to a version that does not verify. `automatic` says that no person asks: a hold
    stops it. Raises Conflict where the alias is elsewhere, Refused, also where it is at that version already (of which
    nothing is written), and NotFound for a version that is not there.
    """
    from registry import policy  # and pydantic with it, half as long to import as all the rest

    names.check("alias", alias)
    asked = _Asked(names.check("model", model), alias, "promote", why, who, automatic)
    rules = policy.load(registry.settings.gates).of(model, alias)
    while True:
        with registry.reading() as connection:
            candidate = versions.find(connection, Reference(model, number=number))
            holder = _current(connection, model, alias)
            if expected not in (ANY, holder):
                raise Conflict(model, alias, expected, holder)
            if holder == number:
                raise Refused(f"{candidate} as {alias}", [f"{candidate} is {model}@{alias} already"])
            other = None if holder is None else versions.find(connection, Reference(model, number=holder))
        verdict = _judge(registry, candidate, other, rules)
        made = _decide(registry, asked, candidate, holder, verdict, rules.record(), force=force)
        if made is not None:
            return made


def rollback(
    registry: Registry,
    model: str,
    *,
    why: str,
    who: str,
    alias: str = CHAMPION,
    to: int | None = None,
    automatic: bool = False,
) -> Move:
    """Point `alias` at the version it had before this one, or at `to`, which it has had before.

    Raises Refused where there is none, or where it does not verify. There is no way back to what it was rolled back
    from, which somebody found wanting: that is promoted again, and so judged again.
    """
    asked = _Asked(names.check("model", model), names.check("alias", alias), "rollback", why, who, automatic)
    while True:
        with registry.reading() as connection:
            holder = _current(connection, model, alias)
            before = _way_back(connection, model, alias, to)
            if not before:
                history.check_model(connection, model)
        target = _target(registry, asked, before, to)
        verdict = gates.verify(versions.examined(registry, target))
        made = _decide(registry, asked, target, holder, verdict, {})
        if made is not None:
            return made


def hold(registry: Registry, model: str, *, held: bool, why: str, who: str) -> Hold:
    """Stop automatic moves of a model's aliases, or (`held=False`) let them go on."""
    names.check_text("why", why)
    names.check_text("who", who, names.WHO)
    row = Hold(names.check("model", model), held, why, who, schema.now())
    with registry.atomic(f"model:{model}") as connection:
        history.check_model(connection, model)
        connection.execute(schema.holds.insert().values(**row.record()))
    return row


def held(registry: Registry, model: str) -> Hold | None:
    """The hold on a model, if there is one."""
    with registry.reading() as connection:
        return _held(connection, names.check("model", model))


@dataclass(frozen=True)
class _Asked:
    """A move as it is asked for."""

    model: str
    alias: str
    kind: str
    why: str
    who: str
    automatic: bool

    def __post_init__(self) -> None:
        names.check_text("why", self.why)
        names.check_text("who", self.who, names.WHO)


def _judge(registry: Registry, candidate: Version, holder: Version | None, rules: "Policy") -> Verdict:
    """The verdict on a candidate beside the version that holds the alias, if another one does.

    All of the candidate is verified; of the other, the files that are evidence.
    """
    mine = versions.examined(registry, candidate)
    theirs = evidence.of(registry.blobs, holder, []) if holder else None
    return gates.judge(mine, theirs, rules, _judged_before(registry, candidate, gates.split(mine)))


def _decide(
    registry: Registry,
    asked: _Asked,
    version: Version,
    holder: int | None,
    verdict: Verdict,
    rules: dict[str, Any],
    *,
    force: bool = False,
) -> Move | None:
    """Store the verdict, and move the alias if it may be; None where it is not any more where it was judged at."""
    may, record = verdict.passed or (force and verdict.intact), verdict.record()
    with registry.atomic(f"model:{asked.model}") as connection:
        if _current(connection, asked.model, asked.alias) != holder:
            return None
        if asked.kind == "rollback" and version.number not in history.earlier(connection, asked.model, asked.alias):
            return None  # it went away and came back, and the way is another now
        stopped = _stopped(connection, asked.model) if asked.automatic else []
        if versions.gone(connection, version.model, version.number):
            raise NotFound("version", f"there is no {version}: it was deleted just now")
        judged = _store(connection, asked, version, holder, record, rules)
        if may and not stopped:
            moved = _move(connection, asked, version, holder, record, judged)
            if registry.settings.webhooks:
                webhooks.enqueue(connection, registry.settings, moved.record())
    if stopped or not may:
        raise Refused(f"{version} as {asked.alias}", stopped or verdict.reasons)
    return moved


def _way_back(connection: sa.Connection, model: str, alias: str, to: int | None) -> list[int]:
    """The versions that an alias could be rolled back to: the last one, or those down to `to`."""
    before = []
    for number in history.earlier(connection, model, alias):
        before.append(number)
        if to in (None, number):
            break
    return before


def _target(registry: Registry, asked: _Asked, before: list[int], to: int | None) -> Version:
    name = f"{asked.model}@{asked.alias}"
    if to is None and not before:
        raise Refused(f"rolling back {name}", ["it had no version before this one"])
    if to is not None and to not in before:
        had = ", ".join(map(str, before[:SHOWN])) or "none"
        had += ", …" if before[SHOWN:] else ""
        raise InvalidInput(
            "to",
            f"{name} has no way back to version {to}; accepted: {had}; "
            f"any other, also one that it was rolled back from, is promoted with `tailorbird registry promote`",
        )
    return versions.resolve(registry, Reference(asked.model, number=before[0] if to is None else to))


def _stopped(connection: sa.Connection, model: str) -> list[str]:
    """Why nothing but people moves a model's aliases now, where that is so."""
    found = _held(connection, model)
    if found is None:
        return []
    return [f"{found.who} holds {model} since {found.since[:19]} UTC ({found.why}): only people move it"]


def _store(
    connection: sa.Connection,
    asked: _Asked,
    version: Version,
    holder: int | None,
    verdict: dict[str, Any],
    rules: dict[str, Any],
) -> int:
    row = {
        "model": version.model,
        "number": version.number,
        "alias": asked.alias,
        "holder": holder,
        "policy": rules,
        "who": asked.who,
        "judged": schema.now(),
        **{key: verdict[key] for key in ("passed", "split", "gates")},
    }
    number: int = connection.execute(_numbered(schema.verdicts), row).scalar_one()
    return number


def _move(
    connection: sa.Connection,
    asked: _Asked,
    version: Version,
    holder: int | None,
    verdict: dict[str, Any],
    judged: int,
) -> Move:
    place = {"model": asked.model, "alias": asked.alias}
    if holder is None:
        connection.execute(schema.aliases.insert(), {**place, "number": version.number})
    else:
        connection.execute(
            _pointed_elsewhere(), {"of_model": asked.model, "of_alias": asked.alias, "number": version.number}
        )
    row: dict[str, Any] = {
        **place,
        "kind": asked.kind,
        "from_number": holder,
        "to_number": version.number,
        "forced": not verdict["passed"],
        "why": asked.why,
        "who": asked.who,
        "moved": schema.now(),
    }
    number = connection.execute(_numbered(schema.moves), {**row, "verdict": judged}).scalar_one()
    return Move(id=number, gates=verdict["gates"], **row)


def _judged_before(registry: Registry, candidate: Version, split: str | None) -> int:
    """How many other versions the same held-out images have judged."""
    if split is None:
        return 0
    named = {"split": split, "model": candidate.model, "number": candidate.number}
    with registry.asking() as connection:
        return connection.scalar(_judged_by(), named) or 0


def _current(connection: sa.Connection, model: str, alias: str) -> int | None:
    number: int | None = connection.scalar(_pointed(), {"of_model": model, "of_alias": alias})
    return number


def _held(connection: sa.Connection, model: str) -> Hold | None:
    hold = schema.holds.c
    query = sa.select(hold.model, hold.held, hold.why, hold.who, hold.since).filter_by(model=model)
    row = connection.execute(query.order_by(hold.id.desc()).limit(1)).first()
    return Hold(**row._mapping) if row is not None and row.held else None


# Statements are made once: to make one takes SQLAlchemy longer than SQLite to answer it.


@cache
def _numbered(table: sa.Table) -> sa.Executable:
    """Adds a row, and returns the number that it got."""
    return table.insert().returning(table.c.id)


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
