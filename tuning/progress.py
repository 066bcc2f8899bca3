"""What a person sees of a sweep while it runs: a live table of its trials."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tuning.spec import SweepSpec
from tuning.summary import cells, figure

ROWS = 16
_MARKS = {"pending": "dim", "running": "cyan", "finished": "green", "stopped": "yellow", "failed": "red"}


@dataclass
class _Row:
    config: dict[str, Any]
    epochs: int
    status: str = "pending"
    metrics: dict[str, Any] = field(default_factory=dict)


class LiveTable:
    """Rows of trials with a bar over all epochs; on something that is no terminal, a line for each ended trial."""

    def __init__(self, spec: SweepSpec, console: Console) -> None:
        self._console, self._spec, self._metric = console, spec, spec.watched
        self._rows = {n: _Row(one.model_dump(), one.epochs) for n, one in enumerate(spec.configs, 1)}
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console,
        )  # fmt: skip
        self._task = self._bar.add_task(spec.name, total=sum(row.epochs for row in self._rows.values()))
        self._live = Live(self._bar, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
            self._show()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def report(self, number: int, metrics: Mapping[str, Any]) -> None:
        """A trial ended an epoch."""
        row = self._rows[number]
        self._bar.advance(self._task, metrics["epoch"] - row.metrics.get("epoch", 0))
        row.metrics, row.status = dict(metrics), "running"
        self._show()

    def end(self, number: int, status: str, problem: str | None = None) -> None:
        """A trial ended as finished, stopped or failed; the epochs that it will not train leave the bar's total."""
        row = self._rows[number]
        row.status = status
        spared = row.epochs - int(row.metrics.get("epoch", 0))
        total = self._bar.tasks[0].total or 0
        self._bar.update(self._task, total=total - spared)
        self._show()
        if not self._console.is_terminal:
            epoch = row.metrics.get("epoch", 0)
            reached = figure(row.metrics.get(self._metric))
            values = zip(self._spec.titles, cells(*self._spec.told(number, row.config)), strict=True)
            what = ", ".join(f"{name} {value}" for name, value in values)
            self._console.print(
                f"trial {number}/{len(self._rows)} {status} after {epoch}/{row.epochs} epochs: "
                f"{self._metric} {reached} ({what})",
                soft_wrap=True,
            )
        if problem:
            told = f"trial {number}: {problem}"
            self._console.print(told, style="red", soft_wrap=True)

    def _show(self) -> None:
        if not self._live.is_started:
            return
        table = Table("trial", "status", "epoch", self._metric, *self._spec.titles, box=None, header_style="bold")
        shown = list(self._rows.items())
        if len(shown) > ROWS:  # those that move, then those that moved last
            shown = sorted(shown, key=lambda item: (item[1].status != "running", item[1].status == "pending", -item[0]))
        for number, row in shown[:ROWS]:
            status = Text(row.status, _MARKS[row.status])
            epoch = f"{row.metrics.get('epoch', 0)}/{row.epochs}"
            reached = figure(row.metrics.get(self._metric))
            table.add_row(str(number), status, epoch, reached, *cells(*self._spec.told(number, row.config)))
        self._live.update(Group(table, self._bar))
