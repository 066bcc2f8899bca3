"""Summaries of a sweep in the terminal: the trials of a spec, and the best five at the end."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from tailorbird import shares, tables
from tuning.outcome import Outcome, Ranked
from tuning.spec import SweepSpec

BEST = 5


def show_trials(spec: SweepSpec, console: Console) -> None:
    """Print the trials that a spec would run."""
    rows = [
        [str(number), *cells(*spec.shown(number, config.model_dump()))] for number, config in enumerate(spec.configs, 1)
    ]
    later = spec.total - len(rows)
    title = (
        f"{spec.name}: {spec.total} trials on {spec.data.name}{f', {later} of them suggested later' if later else ''}"
    )
    tables.show_rows(console, ["trial", *spec.titles], rows, apart=1, title=title)


def show_outcome(outcome: Outcome, spec: SweepSpec, console: Console) -> None:
    """Print the best five trials, and what was registered and promoted."""
    show_best(outcome.ranked, spec, console)
    console.print(f"sweep {outcome.sweep} finished; `tailorbird report {outcome.sweep}` draws it", soft_wrap=True)
    if not outcome.promotion:
        return
    version, evidence = outcome.promotion.version, outcome.promotion.version.evidence
    console.print(
        f"registered {version}: held-out accuracy {shares.text(evidence.accuracy, evidence.samples)}, "
        f"test accuracy {evidence.test.accuracy:.2%}, {evidence.parity}",
    )
    if evidence.caution:
        console.print(evidence.caution, style="yellow", soft_wrap=True)
    if outcome.promotion.obstacle:
        console.print(f"not promoted: {outcome.promotion.obstacle}", style="yellow")
    else:
        console.print(f"promoted to {version.model}@{outcome.promotion.alias}", style="green")


def show_best(ranked: Sequence[Ranked], spec: SweepSpec, console: Console) -> None:
    """Print the best five trials, with their score on the test split if one was measured."""
    metric, shown = spec.objective.metric, ranked[:BEST]
    tested = f"test_{metric.partition('_')[2]}"
    # measured at the end of a trial; that of a paused or stopped one has moved
    ended = [candidate.trial.status == "finished" for candidate in shown]
    lasts = [candidate.trial.reports[-1] for candidate in shown]
    scores = [last.metrics.get(tested) if whole else None for last, whole in zip(lasts, ended, strict=True)]
    measured = any(score is not None for score in scores)
    columns, rows = ["trial", metric, "at", *([tested] if measured else [])], []
    for candidate, last, score in zip(shown, lasts, scores, strict=True):
        at = f"{candidate.best.epoch}/{candidate.trial.config['epochs']}" if last.epoch else "probe"
        reached = [figure(candidate.best.metrics[metric]), at]
        test = [figure(score)] if measured else []
        rows.append([str(candidate.trial.number), *reached, *test, *cells(*spec.values(candidate.trial.config))])
    title = f"best of {spec.name}"
    tables.show_rows(console, [*columns, *spec.varied.values()], rows, apart=len(columns), title=title)


def figure(value: float | None) -> str:
    """A loss or accuracy in the format of tables."""
    return "-" if value is None else f"{value:.4f}"


def cells(*values: Any) -> list[str]:
    """Hyperparameters in the format of tables."""
    return ["-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value) for value in values]
