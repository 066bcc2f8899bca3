"""The actions of the watch after a drop in accuracy: alert, roll back once, or suggest a retraining."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from registry import aliases, history, versions
from registry.core import Registry
from registry.history import Move
from registry.names import CHAMPION, Reference
from registry.requests import Rollback
from registry.version import Version
from tailorbird.drift.judgement import LEAST_LABELS, Judgement, Observed, accuracy
from tailorbird.drift.policy import Policy
from tailorbird.errors import Conflict, Refused
from tailorbird.watch import known

WHO = "tailorbird watch"


@dataclass(frozen=True)
class Action:
    """The action, in a word for the records, and its notes."""

    kind: str
    reasons: tuple[str, ...] = ()
    command: str | None = None


NOTHING = Action("none")
MOVED = "the alias moved in the meantime"


def take(registry: Registry, version: Version, judgement: Judgement, policy: Policy, now: datetime) -> Action:
    """Act by the policy on a judgement that the version's accuracy dropped."""
    match policy.labels if judgement.state == "drifted" else policy.estimate:
        case "roll_back":
            return _roll_back(registry, version, judgement, policy, now)
        case "sweep":
            return Action("sweep", command=f"tailorbird sweep {policy.sweep}")
    return Action("alert")


def promoted(registry: Registry, version: Version) -> str:
    """When the champion last moved to a version, in the format of tables; earlier labels are ignored."""
    last = _last_move(registry, version)
    return last.moved if last is not None and last.to_number == version.number else ""


def _last_move(registry: Registry, version: Version) -> Move | None:
    moves = history.moves(registry, version.model)
    return next((move for move in moves if move.alias == CHAMPION), None)


def _roll_back(registry: Registry, version: Version, judgement: Judgement, policy: Policy, now: datetime) -> Action:
    if obstacles := list(_obstacles(registry, version, policy, now)):
        return Action("alert", tuple(obstacles))
    target = _before(registry, version)
    if target is None:
        return Action("alert", (f"{version.model}@champion has no earlier version to roll back to",))
    if worse := _not_better(registry, target, judgement, policy):
        return Action("alert", (worse,))
    why = "; ".join(judgement.reasons)[:900]
    asked = Rollback(version.model, to=target.number, why=why, who=WHO, automatic=True, expect=version.number)
    try:
        aliases.rollback(registry, asked)
    except Conflict:
        return Action("alert", (MOVED,))
    except Refused as error:
        return Action("alert", tuple(error.reasons))
    return Action("rolled back", (f"{version.model}@champion is {target} again",))


def _obstacles(registry: Registry, version: Version, policy: Policy, now: datetime) -> Iterator[str]:
    last = _last_move(registry, version)
    if last is None or last.to_number != version.number:
        yield MOVED
    elif last.kind == "rollback":
        yield f"{version} is already the result of a rollback; further ones are left to people"
    elif (until := _moment(last.moved) + timedelta(minutes=policy.cool_down)) > now:
        yield f"the alias moved {last.moved[:19]} UTC and cools down until {until:%Y-%m-%dT%H:%M:%S} UTC"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _before(registry: Registry, version: Version) -> Version | None:
    with registry.reading() as connection:
        number = next(history.earlier(connection, version.model, CHAMPION), None)
    return None if number is None else versions.resolve(registry, Reference(version.model, number=number))


def _not_better(registry: Registry, target: Version, judgement: Judgement, policy: Policy) -> str | None:
    """Why a version may not be better than the current one, by its own labels or else by its baseline."""
    if judgement.labelled is None:
        return "there are no labels to compare an earlier version with"
    known_target = known.read(registry, target)
    count, correct = known.labels(registry, target, known_target, since="")
    labelled = accuracy(known_target, Observed(np.zeros_like(count), count, correct), policy)
    share, source = known_target.accuracy, "its held-out examples"
    if labelled is not None and labelled.labels >= LEAST_LABELS:
        share, source = labelled.value, f"{labelled.labels:,} labels"
    if share > judgement.labelled.high:
        return None
    return (
        f"{target} is not known to be better: {source} give {share:.1%}, and the present one may have up to "
        f"{judgement.labelled.high:.1%}"
    )
