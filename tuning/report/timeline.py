"""A sweep over time: reports of each trial, failures, and where a process went on with the sweep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from registry.incidents import FAILED, Incident
from registry.news import Entry
from tailorbird.pages.document import Drawn, Mark
from tuning.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Drawing

KINDS = ("rest", "bad", "good")
"""Classes of trials: left behind, failed, trained to their end; the last are drawn on top."""
LINES = 500
"""The most trials in a plot."""
SHORT = 120
"""Seconds below which a timeline is in seconds, else in minutes."""
CROSS = 4
"""Half the size of the cross of a failed trial, in pixels."""
TITLE = 200
"""The most letters of a title; the table of failed trials has whole problems."""


@dataclass(frozen=True)
class Timeline:
    """Reports in order of time, incidents, and the class of each trial by its number."""

    news: Sequence[Entry]
    incidents: Sequence[Incident]
    kinds: Mapping[int, str]

    def block(self) -> Drawn:
        """The drawing; titles of its marks tell who resumed the sweep and why a trial failed."""
        drawing = Drawing()
        for value in self._across.ticks():
            drawing.text(self._across.at(value), HEIGHT - BOTTOM + 16, f"{value:g}")
        unit = "seconds" if self._unit == 1 else "minutes"
        since = self._start.strftime("%Y-%m-%d %H:%M:%S")
        drawing.text(WIDTH / 2, HEIGHT - BOTTOM + 33, f"{unit} since {since} UTC")
        drawing.text(LEFT - 6, self._up.at(self._numbers[0]) + 4, f"trial {self._numbers[0]}", "end")
        if len(self._numbers) > 1:
            drawing.text(LEFT - 6, self._up.at(self._numbers[-1]) + 4, str(self._numbers[-1]), "end")
        for incident in self._takeovers:
            x = self._x(incident.happened)
            drawing.line([(x, TOP + 6), (x, HEIGHT - BOTTOM + 4)], "resume")
        for kind in KINDS:
            known = [entry for entry in self.news if entry.trial in self._shown and self.kinds[entry.trial] == kind]
            drawing.dots([(self._x(entry.reported), self._up.at(entry.trial)) for entry in known], kind, 1.5)
        drawing.lines([stroke for x, y in self._crosses for stroke in _cross(x, y)], "failed")
        self._legend(drawing)
        return Drawn(
            "Reports of each trial over time; red: failed trials; dashed: another process went on with the sweep.",
            drawing.svg(),
            list(self._marks()),
        )

    @cached_property
    def _numbers(self) -> list[int]:
        """The trials with a report or a failure, in order."""
        reported = {entry.trial for entry in self.news}
        return sorted(reported | {incident.trial for incident in self.incidents if incident.trial})[:LINES]

    @cached_property
    def _shown(self) -> set[int]:
        return set(self._numbers)

    @cached_property
    def _takeovers(self) -> list[Incident]:
        return [incident for incident in self.incidents if incident.kind != FAILED]

    @cached_property
    def _failures(self) -> list[tuple[int, Incident]]:
        known = [(incident.trial, incident) for incident in self.incidents if incident.kind == FAILED]
        return [(trial, incident) for trial, incident in known if trial in self._shown and trial is not None]

    @property
    def _crosses(self) -> list[tuple[float, float]]:
        return [(self._x(incident.happened), self._up.at(trial)) for trial, incident in self._failures]

    @cached_property
    def _times(self) -> list[datetime]:
        stored = [*(entry.reported for entry in self.news), *(incident.happened for incident in self.incidents)]
        return [datetime.fromisoformat(moment) for moment in stored]

    @cached_property
    def _start(self) -> datetime:
        return min(self._times)

    @cached_property
    def _unit(self) -> int:
        """The unit of the axis, in seconds."""
        return 60 if (max(self._times) - self._start).total_seconds() >= SHORT else 1

    @cached_property
    def _across(self) -> Axis:
        spans = [(time - self._start).total_seconds() / self._unit for time in self._times]
        return Axis.over(spans, LEFT, WIDTH - RIGHT)

    @cached_property
    def _up(self) -> Axis:
        return Axis.over(self._numbers, TOP + 14, HEIGHT - BOTTOM)

    def _x(self, moment: str) -> float:
        return self._across.at((datetime.fromisoformat(moment) - self._start).total_seconds() / self._unit)

    def _legend(self, drawing: Drawing) -> None:
        """What dots, crosses and dashed lines are, in a line above the trials."""
        y, x = TOP - 4, float(LEFT)
        drawing.dots([(x, y)], "good", 1.5)
        drawing.text(x + 8, y + 4, "report", "start")
        if self._failures:
            drawing.lines(_cross(x + 76, y), "failed")
            drawing.text(x + 86, y + 4, "failed", "start")
        if self._takeovers:
            kinds = sorted({incident.kind for incident in self._takeovers}, reverse=True)
            drawing.line([(x + 150, y - 6), (x + 150, y + 6)], "resume")
            drawing.text(x + 158, y + 4, " or ".join(kinds), "start")

    def _marks(self) -> Iterator[Mark]:
        for incident in self._takeovers:
            title = f"{incident.kind} {_clock(incident.happened)} by {incident.who}, after it was {incident.why}"
            yield _mark(self._x(incident.happened), TOP, HEIGHT - BOTTOM - TOP, title)
        for (trial, incident), (x, y) in zip(self._failures, self._crosses, strict=True):
            title = f"trial {trial} failed {_clock(incident.happened)}: {incident.why or 'no reason is known'}"
            yield _mark(x, y - CROSS - 1, 2 * CROSS + 2, title)


def _mark(x: float, top: float, height: float, title: str) -> Mark:
    """An area around `x`, in pixels of a drawing."""
    across, up, half = 100 / WIDTH, 100 / HEIGHT, CROSS + 1
    short = title if len(title) <= TITLE else title[: TITLE - 1] + "…"
    return Mark((x - half) * across, top * up, 2 * half * across, height * up, short)


def _cross(x: float, y: float) -> list[list[tuple[float, float]]]:
    return [[(x - CROSS, y - CROSS), (x + CROSS, y + CROSS)], [(x - CROSS, y + CROSS), (x + CROSS, y - CROSS)]]


def _clock(moment: str) -> str:
    return f"{moment[11:19]} UTC"
