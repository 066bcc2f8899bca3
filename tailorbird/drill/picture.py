"""A drill in one picture: true accuracy, estimates, labels, alarm and action over time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tailorbird.drift.judgement import MEANINGS
from tailorbird.drill.replay import Step
from training.plots import style

LABELS = style.SEVERAL[3]
COLORS = {"healthy": "#009e73", "suspected": "#b8860b", "drifted": "#d55e00", "too little data": "#bbbbbb"}


def draw(steps: Sequence[Step], title: str) -> bytes:
    """The PNG."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(6, 1))
    minutes = [step.minute for step in steps]
    above.plot(minutes, [step.accuracy for step in steps], color="#000000", linewidth=1.8, label="true accuracy")
    for name, color in zip(MEANINGS, style.SEVERAL, strict=False):
        values = [_number(step.estimates.get(name)) for step in steps]
        if np.isfinite(values).any():
            above.plot(minutes, values, color=color, linestyle="--", label=f"estimate {MEANINGS[name]}")
    value, low, high = ([_number(getattr(step, name)) for step in steps] for name in ("labelled", "low", "high"))
    above.plot(minutes, value, color=LABELS, label="labels, with interval")
    above.fill_between(minutes, low, high, color=LABELS, alpha=0.15, linewidth=0)
    _mark(above, steps)
    above.set(ylabel="accuracy", ylim=(0, 1.02))
    above.grid(alpha=0.3)
    for state in dict.fromkeys(step.state for step in steps):
        chosen = [step.minute for step in steps if step.state == state]
        below.bar(chosen, 1, width=1, color=COLORS[state], label=state)
    below.set(xlabel="minute", yticks=[])
    figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    style.title(figure, title)
    return style.png(figure)


def _mark(axes: Axes, steps: Sequence[Step]) -> None:
    first = next((step.minute for step in steps if step.spoiled), None)
    if first is not None:
        axes.axvline(first - 0.5, color=style.MARK, linestyle=":")
        axes.annotate("traffic changes", (first - 0.4, 1.0), fontsize=9, va="top")
    for step in steps:
        if step.action != "none":
            axes.axvline(step.minute, color=style.WRONG, linewidth=1)
            axes.annotate(step.action, (step.minute + 0.1, 0.03), fontsize=9, rotation=90, color=style.WRONG)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
