"""The outcome of a sweep: its trials in order of merit, and the promotion of the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registry import aliases, ledger, versions
from registry.core import Registry
from registry.ledger import Report, Sweep, Trial
from registry.version import Version
from tailorbird.errors import TailorbirdError
from training.config import Objective
from tuning.spec import SweepSpec

COUNTED = ("finished", "stopped", "paused")
FINALISTS = 10
"""The number of best trials that are compared example by example and keep their checkpoints."""


@dataclass(frozen=True)
class Ranked:
    """A trial with its best epoch."""

    trial: Trial
    best: Report


@dataclass(frozen=True)
class Promotion:
    """The registered version; `obstacle` says why the alias was not moved, None if it was."""

    version: Version
    alias: str
    obstacle: str | None


@dataclass(frozen=True)
class Outcome:
    """A finished sweep."""

    sweep: str
    ranked: list[Ranked]
    promotion: Promotion | None

    def record(self) -> dict[str, Any]:
        """The output of `--json`."""
        best = [
            {"trial": candidate.trial.number, "epoch": candidate.best.epoch, **candidate.best.metrics}
            for candidate in self.ranked[:5]
        ]
        if self.promotion is None:
            return {"sweep": self.sweep, "best": best, "registered": None}
        return {
            "sweep": self.sweep,
            "best": best,
            "registered": str(self.promotion.version),
            "evidence": self.promotion.version.evidence.record(),
            "promoted": self.promotion.obstacle is None,
            "obstacle": self.promotion.obstacle,
        }


def rank(trials: Sequence[Trial], objective: Objective) -> list[Ranked]:
    """Trials that ended well, best first by their best epoch; ties are broken by lower loss, then by number.

    Without a metric to choose by, they stay in order.
    """
    ranked = []
    for trial in trials:
        kept = [report for report in trial.reports if report.checkpoint]
        if kept and trial.status in COUNTED:
            ranked.append(Ranked(trial, kept[-1]))  # a checkpoint is stored only if it beats earlier ones
    if not all(objective.metric in candidate.best.metrics for candidate in ranked):
        return ranked  # in a study without a validation split
    return sorted(ranked, key=lambda candidate: objective.merit(candidate.best.metrics), reverse=True)


def ranked(registry: Registry, spec: SweepSpec, sweep: str) -> list[Ranked]:
    """The trials of a sweep in order of merit; raises TailorbirdError if none ended well."""
    trials = ledger.trials(registry, sweep)
    ordered = rank(trials, spec.objective)
    if not ordered:
        problems = (f"trial {trial.number}: {trial.problem}" for trial in trials if trial.problem)
        problem = next(problems, "none reported an epoch")
        raise TailorbirdError(f"no trial of {sweep} succeeded: {problem}")
    return ordered


def earlier(registry: Registry, spec: SweepSpec, sweep: Sweep) -> Promotion | None:
    """The promotion of a finished sweep's best trial."""
    if spec.promote is None or sweep.registered is None:
        return None
    version = versions.resolve(registry, f"{spec.promote.model}:{sweep.registered}")
    held = aliases.current(registry, spec.promote.model, spec.promote.alias) == version.number
    return Promotion(version, spec.promote.alias, None if held else f"{spec.promote.alias} was moved in the meantime")
