"""Precision and recall of each label by decision threshold."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from training.plots import style

THRESHOLDS = np.linspace(0, 1, 201)
COLUMNS = 4


def precision_recall(
    probabilities: NDArray[np.floating[Any]], truths: NDArray[Any], labels: Sequence[str], threshold: float, title: str
) -> bytes:
    """Precision and recall of each label by its decision threshold, one panel per label.

    `probabilities` and `truths` (true where the label holds) are [N, labels]; for two classes, pass the positive one,
    [N, 1].
    """
    columns = min(COLUMNS, len(labels))
    rows = math.ceil(len(labels) / columns)
    size = (7.5, 4.8) if len(labels) == 1 else (3.4 * columns, 2.6 * rows + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for index, label in enumerate(labels):
        _panel(grid[index], probabilities[:, index], np.asarray(truths[:, index], bool), label, threshold)
    for lowest in grid[max(0, len(labels) - columns) : len(labels)]:
        lowest.set_xlabel("decision threshold", fontsize=9)
        lowest.tick_params("x", labelbottom=True)
    for unused in grid[len(labels) :]:
        unused.set_axis_off()
    style.title(figure, title)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return style.png(figure)


def rates(
    probabilities: NDArray[np.floating[Any]], truths: NDArray[np.bool_], thresholds: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall at each threshold; NaN if there are no positive predictions, or no positive examples."""
    text = probabilities[:, None] >= thresholds
    hits = (text & truths[:, None]).sum(0)
    with np.errstate(invalid="ignore"):
        return hits / text.sum(0), hits / truths.sum()


def _panel(
    axes: Any, probabilities: NDArray[np.floating[Any]], truths: NDArray[np.bool_], label: str, threshold: float
) -> None:
    precision, recall = rates(probabilities, truths, THRESHOLDS)
    axes.plot(THRESHOLDS, precision, color=style.TRAIN, label="precision")
    axes.plot(THRESHOLDS, recall, color=style.VALIDATION, linestyle="--", label="recall")
    axes.axvline(threshold, color=style.MARK, linestyle=":", zorder=0, label=f"threshold {threshold:g}")
    at_threshold = [rate[0] for rate in rates(probabilities, truths, np.array([threshold]))]
    message = ", ".join(
        f"{name} {_percent(rate)}" for name, rate in zip(("precision", "recall"), at_threshold, strict=True)
    )
    axes.set_title(f"{style.short(label)}\n{message}", fontsize=9)
    axes.set(xlim=(0, 1), ylim=(0, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{rate:.1%}"
