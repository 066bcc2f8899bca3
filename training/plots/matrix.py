"""The confusion matrix, with each class's precision and recall."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from training.plots import style

CELLS_WITH_NUMBERS = 20
SHARES = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)
GAP = 0.35
"""The gap between the matrix and the figures beside it, in cells."""


def decided(probabilities: NDArray[np.floating[Any]], targets: NDArray[Any], threshold: float) -> NDArray[np.int64]:
    """Counts by true and predicted class at a decision threshold.

    With two classes, the second is predicted if its probability is at least `threshold`: [2, 2]. With more, the most
    likely class is predicted if its probability is at least that; examples without a prediction are counted in an extra
    column: [classes, classes + 1].
    """
    classes = probabilities.shape[1]
    if classes == 2:
        answers, columns = (probabilities[:, 1] >= threshold).astype(np.int64), 2
    else:
        answers, columns = probabilities.argmax(1), classes + 1
        answers[probabilities.max(1) < threshold] = classes
    return np.bincount(targets * columns + answers, minlength=classes * columns).reshape(classes, columns)


def confusion(counts: NDArray[np.int64], classes: Sequence[str], title: str) -> bytes:
    """Rows are true classes, columns predicted ones; colour is the square root of the row's share, so that errors show.

    `counts` is [classes, classes], or has an extra column for examples without a prediction. Recall is shown beside
    each row, precision under each column.
    """
    rows, columns = counts.shape
    size = min(14.0, 0.62 * columns + 4.1)
    figure = Figure(figsize=(size, 0.9 * size), layout="compressed")
    axes = figure.subplots()
    totals = counts.sum(1, keepdims=True)
    few = columns <= CELLS_WITH_NUMBERS + 1
    texts = [f"{count or ''}" if few else "" for count in counts.flat]
    letters = min(9.0, (0.55 if few else 0.4) * 72 * size / columns)  # in points
    drawn = _cells(axes, counts / np.maximum(totals, 1), texts, (0, 0), letters)
    axes.add_patch(Rectangle((-0.5, -0.5), columns, rows, fill=False, edgecolor="black", zorder=3))
    right = np.diag(counts)
    with np.errstate(invalid="ignore"):
        recall, precision = right / totals[:, 0], right / counts[:, :rows].sum(0)
    _cells(axes, recall[:, None], _percents(recall, 1 if few else 0), (columns + GAP, 0), letters)
    _cells(axes, precision[None], _percents(precision, 1 if few else 0), (0, rows + GAP), letters)
    _name(axes, [style.short(name) for name in classes], columns, size)
    style.title(figure, title)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, ticks=SHARES, format=PercentFormatter(1))
    bar.set_label("share of the true class; recall, precision")
    return style.png(figure)


def _cells(
    axes: Any, shares: NDArray[np.float64], texts: Sequence[str], at: tuple[float, float], letters: float
) -> Any:
    """Coloured cells with texts in them, the first centred on `at`."""
    rows, columns = shares.shape
    left, top = at[0] - 0.5, at[1] - 0.5
    drawn = axes.imshow(
        shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), extent=(left, left + columns, top + rows, top)
    )
    for (row, column), text in zip(np.ndindex(rows, columns), texts, strict=True):
        if text:
            color = "white" if shares[row, column] > 0.3 else "black"
            axes.text(at[0] + column, at[1] + row, text, ha="center", va="center", color=color, fontsize=letters)
    return drawn


def _percents(shares: NDArray[np.float64], places: int) -> list[str]:
    return ["-" if np.isnan(share) else f"{100 * share:.{places}f}" for share in shares]


def _name(axes: Any, names: list[str], columns: int, size: float) -> None:
    """Ticks: the classes, and the labels of the cells beside them."""
    rows = len(names)
    answers = [*names, *(["no answer"] * (columns - rows))]
    axes.set_xticks([*range(columns), columns + GAP], [*answers, "recall, %"], ha="right", va="center")
    axes.set_yticks([*range(rows), rows + GAP], [*names, "precision, %"])
    axes.tick_params(labelsize=min(10, 55 * size / columns), length=0)
    axes.tick_params("x", labelrotation=45 if columns <= CELLS_WITH_NUMBERS + 1 else 90)
    for label in axes.get_xticklabels():
        label.set_rotation_mode("anchor")
    axes.set(xlabel="predicted", ylabel="true", xlim=(-0.6, columns + GAP + 0.5), ylim=(rows + GAP + 0.5, -0.6))
    axes.spines[:].set_visible(False)
