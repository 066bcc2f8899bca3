"""The results of a sweep: one row for each config, with its seeds combined, and the reference."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from registry import incidents, ledger, news
from registry.core import Registry
from registry.incidents import Incident
from registry.ledger import Report, Sweep, Trial
from registry.news import Entry
from registry.repeats import FINAL
from tuning.outcome import COUNTED
from tuning.parts import Listed
from tuning.spec import SweepSpec, seedless, stored
from tuning.summary import cells

DIGITS = 4
"""Decimals of accuracies and losses in notes."""
NUMBERED = 6
"""The most trials of a row that its name lists, else only the first and the last; `--json` has all."""


@dataclass(frozen=True)
class Figure:
    """The mean of some runs; `spread` is their standard deviation if there are several."""

    mean: float
    spread: float | None = None


@dataclass(frozen=True)
class Row:
    """Trials of one config with different seeds, with the config's name and reference figures."""

    name: str
    values: tuple[Any, ...]
    trials: tuple[Trial, ...]
    reference: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Figures that all of its trials measured, by name, and those derived from them."""
        measured = [figures(trial) for trial in self.trials]
        shared = [name for name in measured[0] if all(name in metrics for metrics in measured)]
        return {name: _figure([metrics[name] for metrics in measured]) for name in shared}

    def behind(self, metric: str) -> float | None:
        """How much it is worse than its reference, rounded like it; None if either is missing."""
        if metric not in self.reference or metric not in self.figures:
            return None
        return behind(metric, self.figures[metric].mean, self.reference[metric])

    @property
    def lags(self) -> bool:
        """Whether a figure is worse than its reference by more than the spread over seeds."""
        return any((self.behind(name) or 0.0) > (self.figures[name].spread or 0.0) for name in self._compared)

    @property
    def _compared(self) -> list[str]:
        return [name for name in self.reference if name in self.figures]


@dataclass(frozen=True)
class SweepResults:
    """A sweep with its rows, those of a search the best first, and the trials that are in no row."""

    sweep: Sweep
    spec: SweepSpec
    rows: list[Row]
    others: list[Trial]
    news: Sequence[Entry] = ()
    incidents: Sequence[Incident] = ()

    @property
    def trials(self) -> list[Trial]:
        """All trials, in order."""
        return sorted(
            [*self.others, *(trial for row in self.rows for trial in row.trials)], key=lambda trial: trial.number
        )

    def record(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "sweep": self.sweep.id,
            "status": self.sweep.status,
            "who": self.sweep.who,
            "began": self.sweep.created,
            "ended": self.sweep.ended,
            "source": self.spec.source,
            "rows": [_record(row, self.spec) for row in self.rows],
            "others": [
                {"trial": other.number, "status": other.status, "problem": other.problem} for other in self.others
            ],
        }


def read(registry: Registry, sweep_id: str) -> SweepResults:
    """The results of a sweep so far; raises NotFound if the ledger has no such sweep."""
    sweep = ledger.sweep(registry, sweep_id)
    trials = ledger.trials(registry, sweep_id)
    spec = stored(sweep.spec)
    ended = [(trial, spec.listed(trial.number)) for trial in trials if _counts(trial)]
    others = [trial for trial in trials if not _counts(trial)]
    ordered = rows(spec, ended) if spec.runs is not None else best(spec, rows(spec, ended))
    return SweepResults(
        sweep, spec, ordered, others, news.reports(registry, sweep_id), incidents.of(registry, sweep_id)
    )


def rows(spec: SweepSpec, ended: Iterable[tuple[Trial, Listed]]) -> list[Row]:
    """Trials that ended well, with their entry in the spec, grouped by name and config without seed."""
    gathered: dict[tuple[str | None, str], list[tuple[Trial, Listed]]] = {}
    for trial, listed in ended:
        gathered.setdefault((listed.name, seedless(trial.config)), []).append((trial, listed))
    return [_row(spec, [trial for trial, _ in members], members[0][1]) for members in gathered.values()]


def figures(trial: Trial) -> dict[str, float]:
    """The scores of a trial's kept weights as ratios and nats, and its seconds."""
    metrics = {name: value for name, value in kept(trial).metrics.items() if not name.startswith(FINAL)}
    if trial.status == "finished":  # otherwise they were measured at an end that has since moved
        metrics |= {name: value for name, value in trial.reports[-1].metrics.items() if name.startswith(FINAL)}
    metrics["seconds"] = sum(report.metrics.get("seconds", 0.0) for report in trial.reports)
    if "fit_accuracy" in metrics and "test_accuracy" in metrics:
        metrics["gap"] = metrics["fit_accuracy"] - metrics["test_accuracy"]
    reached = metrics.get("test_accuracy", metrics.get("val_accuracy"))
    if reached is not None and metrics["seconds"] > 0:
        metrics["accuracy_per_second"] = reached / metrics["seconds"]
    return {name: value for name, value in metrics.items() if not math.isnan(value)}


def kept(trial: Trial) -> Report:
    """The epoch whose weights were kept: the last stored one, or else the last reported one."""
    stored = [report for report in trial.reports if report.checkpoint]
    return stored[-1] if stored else trial.reports[-1]


def merit(spec: SweepSpec, rows: Sequence[Row]) -> str | None:
    """The figure that rows are sorted by: the objective, or the last one measured if nothing is chosen."""
    known = (spec.objective.metric, "test_accuracy", "test_rmse", "train_loss")
    return next((metric for metric in known if rows and all(metric in row.figures for row in rows)), None)


def best(spec: SweepSpec, rows: Sequence[Row]) -> list[Row]:
    """Rows in order of merit."""
    if (metric := merit(spec, rows)) is None:
        return list(rows)
    sign = 1 if lower_is_better(metric) else -1
    return sorted(rows, key=lambda row: sign * row.figures[metric].mean)


def lower_is_better(metric: str) -> bool:
    return not metric.endswith("accuracy")


def behind(metric: str, ours: float, theirs: float) -> float:
    """How much our figure is worse; 0 or less if it is as good."""
    return round(ours - theirs if lower_is_better(metric) else theirs - ours, DIGITS)


def described(spec: SweepSpec, values: Sequence[Any]) -> str:
    """A config by what varies."""
    triples = zip(spec.varied.values(), cells(*values), values, strict=True)
    return ", ".join(f"{key} {cell}" for key, cell, value in triples if value is not None) or spec.name


def _counts(trial: Trial) -> bool:
    return bool(trial.reports) and trial.status in COUNTED


def _row(spec: SweepSpec, trials: Sequence[Trial], listed: Listed) -> Row:
    values = tuple(spec.values(trials[0].config))
    name = listed.name or (_numbered(trials) if spec.runs is None else described(spec, values))
    return Row(name, values, tuple(trials), {str(key): value for key, value in (listed.reference or {}).items()})


def _numbered(trials: Sequence[Trial]) -> str:
    numbers = [str(trial.number) for trial in trials]
    if len(numbers) == 1:
        return f"trial {numbers[0]}"
    shown = numbers if len(numbers) <= NUMBERED else [*numbers[: NUMBERED - 1], "…", numbers[-1]]
    return f"trials {', '.join(shown)}"


def _figure(values: Sequence[float]) -> Figure:
    return Figure(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def _record(row: Row, spec: SweepSpec) -> dict[str, Any]:
    return {
        "name": row.name,
        "trials": [trial.number for trial in row.trials],
        "seeds": [trial.config["seed"] for trial in row.trials],
        "values": dict(zip(spec.varied, row.values, strict=True)),
        "figures": {name: {"mean": figure.mean, "spread": figure.spread} for name, figure in row.figures.items()},
        "reference": dict(row.reference),
        "behind": {name: row.behind(name) for name in row.reference},
    }
