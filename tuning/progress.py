"""The progress of a running sweep: a live table of its trials, or lines in a pipe."""

import time
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tailorbird import tables
from tuning.follower import Follower, Seen
from tuning.spec import SweepSpec
from tuning.summary import cells, figure

ROWS = 16
FIRST_LINE, NEXT_LINE = 8, 30
"""Seconds until the first progress line in a pipe, and between further ones."""
MOST_LINES = 100
"""In larger sweeps a line is printed only for trials that failed."""
SHOWN = ("finished", "stopped", "paused", "failed")
_MARKS = {"pending": "dim", "running": "cyan", "finished": "green", "paused": "yellow", "stopped": "yellow"}


class LiveTable:
    """Rows of trials, and a bar over all expected epochs with the remaining time."""

    def __init__(self, spec: SweepSpec, console: Console) -> None:
        self._console, self._spec = console, spec
        self._began = time.monotonic()
        self._line = self._began + FIRST_LINE
        self._trained: int | None = None
        self._ended = False
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"),
            TimeElapsedColumn(), TextColumn("{task.fields[left]}"), console=console,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, left="")
        self._live = Live(self._bar, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        if self._live.is_started:
            self._live.stop()

    def show(self, follower: Follower, changed: list[Seen]) -> None:
        """Show the current state of a sweep; `changed` are the trials whose status has changed.

        Once the table has ended it shows nothing, even while the best trial is still being registered.
        """
        if self._ended:
            return
        if self._trained is None:  # epochs trained before this process started say nothing about its pace
            self._trained = follower.trained
            self._line = self._began if self._trained else self._line  # where it stands is told at once
        left = self._left(follower)
        self._bar.update(
            self._task, description=follower.sweep, completed=follower.trained, total=follower.expected, left=left
        )
        for trial in changed:
            self._tell(trial, follower.total)
        if self._live.is_started:
            self._live.update(Group(self._table(follower), self._bar))
        elif time.monotonic() >= self._line:
            self._line = time.monotonic() + NEXT_LINE
            self._console.print(self._summary(follower, left), soft_wrap=True)

    def tell(self, problem: str) -> None:
        """Print what the sweep waits for."""
        self._console.print(f"waiting: {problem}", style="yellow", soft_wrap=True)

    def _left(self, follower: Follower) -> str:
        done, elapsed = follower.trained - (self._trained or 0), time.monotonic() - self._began
        if not done:
            return ""
        seconds = (follower.expected - follower.trained) * elapsed / done
        return f"about {clock(seconds)} left"

    def _summary(self, follower: Follower, left: str) -> str:
        ended = sum(trial.status not in ("pending", "running", "interrupted") for trial in follower.trials.values())
        best = follower.best()
        lines = [
            f"{ended}/{follower.total} trials ended or paused",
            f"{follower.trained}/{follower.expected} epochs",
            f"best {self._spec.watched} {figure(abs(best.best))} (trial {best.number})" if best and best.best else "",
            left,
        ]
        return f"{follower.sweep}: {', '.join(filter(None, lines))}"

    def _tell(self, trial: Seen, total: int) -> None:
        if trial.problem:
            self._console.print(f"trial {trial.number}: {trial.problem}", style="red", soft_wrap=True)
        if self._live.is_started or trial.status not in SHOWN or total > MOST_LINES:
            return
        values = zip(self._spec.titles, cells(*self._spec.shown(trial.number, trial.config)), strict=True)
        what = ", ".join(f"{name} {value}" for name, value in values)
        last = figure(trial.metrics.get(self._spec.watched))
        best = "" if trial.best is None or figure(abs(trial.best)) == last else f", best {figure(abs(trial.best))}"
        self._console.print(
            f"trial {trial.number}/{total} {trial.status} after {trial.epoch}/{trial.epochs} epochs: "
            f"{self._spec.watched} {last}{best} ({what})",
            soft_wrap=True,
        )

    def _table(self, follower: Follower) -> Table:
        rows: list[list[str | Text]] = []
        shown = list(follower.trials.values())
        if len(shown) > ROWS:  # running trials, then the latest others
            shown = sorted(
                shown, key=lambda trial: (trial.status != "running", trial.status == "pending", -trial.number)
            )
        for trial in shown[:ROWS]:
            status = Text(trial.status, _MARKS.get(trial.status, "red"))
            reached = figure(trial.metrics.get(self._spec.watched))
            values = cells(*self._spec.shown(trial.number, trial.config))
            rows.append([str(trial.number), status, f"{trial.epoch}/{trial.epochs}", reached, *values])
        columns = ["trial", "status", "epoch", self._spec.watched, *self._spec.titles]
        return tables.fitting(self._console, columns, rows, apart=4, lines=None)


def clock(seconds: float) -> str:
    """A duration in rounded units."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
