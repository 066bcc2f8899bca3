"""Plots of a search: best so far, learning curves with rungs, searched configs, and the timeline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from registry.incidents import Incident
from registry.ledger import Trial
from registry.news import Entry
from tailorbird.pages.document import Block, Drawn
from tuning.field import Field
from tuning.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Drawing, axes
from tuning.report.timeline import KINDS, LINES, Timeline
from tuning.spec import SweepSpec, lookup

KEYS = 8
"""The most keys of the space in a plot."""


@dataclass(frozen=True)
class Search:
    """The trials of a sweep, their reports in order of time, and its incidents."""

    spec: SweepSpec
    trials: Sequence[Trial]
    news: Sequence[Entry]
    incidents: Sequence[Incident] = ()

    def blocks(self) -> Iterator[Block]:
        """The drawings for which there are reports."""
        if not self._scored:
            return
        yield self._progress()
        yield self._curves()
        if self._keys:
            yield self._parallel()
            yield self._slices()
        yield Timeline(self.news, self.incidents, {t.number: self._kind(t) for t in self.trials}).block()

    @property
    def _metric(self) -> str:
        return self.spec.watched

    @property
    def _scored(self) -> list[Trial]:
        """Trials with a score, the best last, so that it is drawn on top."""
        known = [trial for trial in self.trials if any(self._metric in report.metrics for report in trial.reports)]
        return sorted(known, key=lambda trial: self._merit(self._best(trial)))[-LINES:]

    @property
    def _keys(self) -> list[str]:
        varied = [
            key for key in self.spec.varied if len({str(lookup(trial.config, key)) for trial in self._scored}) > 1
        ]
        return varied[:KEYS]

    def _best(self, trial: Trial) -> float:
        return max(
            (report.metrics[self._metric] for report in trial.reports if self._metric in report.metrics),
            key=self._merit,
        )

    def _merit(self, value: float) -> float:
        return -value if self._metric.endswith("loss") else value

    def _kind(self, trial: Trial) -> str:
        return {"finished": "good", "failed": "bad"}.get(trial.status, "rest")

    def _progress(self) -> Block:
        spent, best, points = 0.0, None, list[tuple[float, float]]()
        for entry in self.news:
            spent += entry.report.metrics.get("seconds", 0.0) * self.spec.resources.cpus
            value = entry.report.metrics.get(self._metric)
            if value is not None and (best is None or self._merit(value) > self._merit(best)):
                points += [] if best is None else [(spent, best)]
                best = value
                points.append((spent, value))
        points.append((spent, points[-1][1]))
        across, up = axes([x for x, _ in points], [y for _, y in points])
        drawing = Drawing()
        drawing.frame(across, up, ("CPU-seconds of training", self._metric))
        drawing.line([(across.at(x), up.at(y)) for x, y in points])
        return Drawn("The best score so far by training time.", drawing.svg())

    def _curves(self) -> Block:
        trials = self._scored
        curves = {
            trial.number: [(r.epoch, r.metrics[self._metric]) for r in trial.reports if self._metric in r.metrics]
            for trial in trials
        }
        every = [point for curve in curves.values() for point in curve]
        across, up = axes([x for x, _ in every], [y for _, y in every])
        drawing = Drawing()
        drawing.frame(across, up, ("epoch", self._metric))
        field = Field(self.spec, self.trials)
        for rung in sorted({rung for trial in trials for rung in field.bracket(trial.number).rungs}):
            if across.low <= rung <= across.high:
                drawing.line([(across.at(rung), up.start), (across.at(rung), up.end)], "rung")
        for kind in KINDS:
            kin = [trial.number for trial in trials if self._kind(trial) == kind]
            lines = [[(across.at(x), up.at(y)) for x, y in curves[number]] for number in kin]
            drawing.lines(lines, kind)
            drawing.dots([line[-1] for line in lines], kind)
        return Drawn("All trials by epoch; blue: trained to the last epoch; dashed: rungs.", drawing.svg())

    def _parallel(self) -> Block:
        keys, trials = self._keys, self._scored
        places = [LEFT + (WIDTH - LEFT - RIGHT - 40) * n / len(keys) for n in range(len(keys) + 1)]
        scales = [_Scale.of([lookup(trial.config, key) for trial in trials]) for key in keys]
        metric = Axis.over([self._best(trial) for trial in trials], HEIGHT - BOTTOM, TOP + 10)
        drawing = Drawing()
        for position, name in zip(places, [*(self.spec.varied[key] for key in keys), self._metric], strict=True):
            drawing.line([(position, HEIGHT - BOTTOM), (position, TOP + 10)], "grid")
            drawing.text(position, HEIGHT - BOTTOM + 30, name)
        for position, scale in zip(places, scales, strict=False):
            drawing.text(position, HEIGHT - BOTTOM + 14, scale.low)
            drawing.text(position, TOP + 4, scale.high)
        for value in (metric.low, metric.high):
            drawing.text(places[-1] + 6, metric.at(value) + 4, f"{value:.3g}", "start")
        better = {trial.number for trial in trials[-max(1, len(trials) // 10) :]}
        lines: dict[str, list[list[tuple[float, float]]]] = {"rest": [], "good": []}
        for trial in trials:
            values = [scale.at(lookup(trial.config, key)) for scale, key in zip(scales, keys, strict=True)]
            heights = [*values, metric.at(self._best(trial))]
            lines["good" if trial.number in better else "rest"].append(list(zip(places, heights, strict=True)))
        for kind, many in lines.items():
            drawing.lines(many, kind)
        return Drawn("The searched configs, one line for each trial; blue: the best tenth.", drawing.svg())

    def _slices(self) -> Block:
        keys, trials = self._keys, self._scored
        height = 150
        drawing = Drawing(height * (-(-len(keys) // 2)))
        for index, key in enumerate(keys):
            left = LEFT + (WIDTH / 2) * (index % 2)
            floor = height * (index // 2) + height - 34
            across = _Scale.of([lookup(trial.config, key) for trial in trials], left, left + WIDTH / 2 - LEFT - RIGHT)
            up = Axis.over([self._best(trial) for trial in trials], floor, floor - height + 50)
            drawing.line([(left, floor), (left + WIDTH / 2 - LEFT - RIGHT, floor)], "grid")
            for value in (up.low, up.high):
                drawing.text(left - 6, up.at(value) + 4, f"{value:.3g}", "end")
            drawing.text(left, floor + 15, across.low, "start")
            drawing.text(left + WIDTH / 2 - LEFT - RIGHT, floor + 15, across.high, "end")
            drawing.text(left + WIDTH / 4 - LEFT / 2, floor + 29, self.spec.varied[key])
            for kind in KINDS:
                values = [
                    (lookup(trial.config, key), self._best(trial)) for trial in trials if self._kind(trial) == kind
                ]
                points = [(across.at(value), up.at(best)) for value, best in values if value is not None]
                drawing.dots(points, kind)
        return Drawn(
            f"The best {self._metric} of each trial by each key; blue: trained to the last epoch.", drawing.svg()
        )


@dataclass(frozen=True)
class _Scale:
    """The positions of a key's values: along an axis if all are numbers, else side by side."""

    axis: Axis
    places: Sequence[str]

    @classmethod
    def of(cls, values: Sequence[Any], start: float = HEIGHT - BOTTOM, end: float = TOP + 10) -> "_Scale":
        known = [value for value in values if value is not None]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
            spread = max(known, default=1) > 20 * min(known, default=1) > 0
            return cls(Axis.over(map(float, known), start, end, log=spread), ())
        places = sorted({str(value) for value in known})
        return cls(Axis.over(range(len(places)), start, end), places)

    def at(self, value: Any) -> float:
        if value is None:
            return self.axis.start
        return self.axis.at(self.places.index(str(value)) if self.places else float(value))

    @property
    def low(self) -> str:
        return self.places[0] if self.places else f"{self.axis.low:.3g}"

    @property
    def high(self) -> str:
        return self.places[-1] if self.places else f"{self.axis.high:.3g}"
