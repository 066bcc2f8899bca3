"""Extensions of an ended sweep: more trials, a paused trial, or the failed ones."""

from collections.abc import Mapping
from typing import Any

from registry import leases, ledger
from registry.core import Registry
from registry.ledger import Change
from tailorbird.errors import InvalidInput, NotFound
from tuning import spec as specs

ADDED = "extended"
"""Key of a spec in the ledger, which no spec file has: the number of points that extensions added to `trials`."""


def add_trials(registry: Registry, sweep: str, count: int, seconds: float, who: str) -> None:
    """Add so many points to a sweep; raises InvalidInput if its spec lists its trials."""
    known = ledger.sweep(registry, sweep)
    spec = specs.stored(known.spec)
    if spec.trials is None:
        raise InvalidInput("--trials", "applies only to random search and tpe; runs and grids list their trials")
    added = known.spec.get(ADDED, 0) + count
    changed: Mapping[str, Any] = {**known.spec, "trials": spec.trials + count, ADDED: added}
    specs.stored(changed)
    lease = leases.take(registry, sweep, seconds, who, "extended")
    ledger.rewrite(registry, lease, changed)
    ledger.end(registry, lease, "interrupted")


def forms(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A spec of the ledger as it was before its extensions, and as it is with them."""
    plain = {key: value for key, value in spec.items() if key != ADDED}
    return [{**plain, "trials": plain["trials"] - spec[ADDED]}, plain] if ADDED in spec else [plain]


def thaw(registry: Registry, sweep: str, number: int, seconds: float, who: str) -> None:
    """Let a paused or stopped trial train to its end."""
    trials = {trial.number: trial for trial in ledger.trials(registry, ledger.sweep(registry, sweep).id)}
    if number not in trials:
        raise NotFound("--thaw", f"{sweep} has no trial {number}; accepted: 1 to {len(trials)}")
    if (status := trials[number].status) not in ("paused", "stopped"):
        raise InvalidInput("--thaw", f"trial {number} is {status}; accepted: one that is paused or stopped")
    lease = leases.take(registry, sweep, seconds, who, "extended")
    ledger.thaw(registry, lease, number)
    ledger.end(registry, lease, "interrupted")


def retry(registry: Registry, sweep: str, seconds: float, who: str) -> int:
    """Let the failed trials resume from their stored state; returns their number."""
    trials = ledger.trials(registry, ledger.sweep(registry, sweep).id)
    failed = [Change(trial.number, "interrupted") for trial in trials if trial.status == "failed"]
    if not failed:
        raise InvalidInput("--failed", f"no trial of {sweep} has failed")
    lease = leases.take(registry, sweep, seconds, who, "extended")
    ledger.enter(registry, lease, failed)
    ledger.end(registry, lease, "interrupted")
    return len(failed)
