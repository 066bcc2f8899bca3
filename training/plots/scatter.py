"""The scatter matrix of a table: every column against every other, by class."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from training.plots import style

if TYPE_CHECKING:
    from training.datasets import Dataset

MOST_COLUMNS, MOST_ROWS, MOST_CLASSES = 6, 1000, 7
MARKERS = "o^sDvPX"


def scatter_matrix(dataset: "Dataset") -> bytes:
    """Each column of a table against every other, with histograms on the diagonal; coloured by class or by number.

    Wide tables are cut to their first columns, long ones to evenly spaced rows; very many classes, and multiple labels
    per row, are not coloured.
    """
    total = len(dataset.inputs)
    rows = np.linspace(0, total - 1, min(MOST_ROWS, total)).astype(np.int64)
    values = np.asarray(dataset.inputs[rows][:, :MOST_COLUMNS], np.float64)
    targets, count = dataset.targets[rows], values.shape[1]
    figure = Figure(figsize=(max(5.5, 1.2 + 2.1 * count), max(4.5, 1.4 + 1.9 * count)), layout="constrained")
    grid = figure.subplots(count, count, squeeze=False, sharex="col")
    for row, column in np.ndindex(count, count):
        axes: Any = grid[row, column]
        axes.tick_params(labelsize=7)
        if row == column:
            _histogram(axes.twinx(), dataset, values[:, row], targets)  # counts, scaled to the axis of the row
        else:
            _points(axes, dataset, values[:, [column, row]], targets)
        axes.set(xlim=_limits(values[:, column]), ylim=_limits(values[:, row]))
        axes.locator_params(nbins=5)
        axes.tick_params("y", labelleft=column == 0)
    _name(grid, dataset, count)
    _explain(figure, grid, dataset)
    figure.suptitle(_title(dataset, len(rows), count))
    return style.png(figure)


def _by_class(dataset: "Dataset") -> bool:
    return dataset.kind in ("multiclass", "binary") and len(dataset.classes) <= MOST_CLASSES


def _groups(dataset: "Dataset", targets: NDArray[Any]) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Colour, marker and members [N] of each group."""
    if not _by_class(dataset):
        return [(style.SEVERAL[0], "o", np.ones(len(targets), bool))]
    return [
        (style.SEVERAL[position], MARKERS[position], targets == position) for position in range(len(dataset.classes))
    ]


def _histogram(axes: Any, dataset: "Dataset", values: NDArray[np.float64], targets: NDArray[Any]) -> None:
    groups = _groups(dataset, targets)
    finite = np.isfinite(values)
    axes.hist(
        [values[members & finite] for _, _, members in groups], bins=15, range=_limits(values), histtype="stepfilled",
        color=[color for color, _, _ in groups], alpha=0.5,
    )  # fmt: skip
    axes.set_yticks([])


def _points(axes: Any, dataset: "Dataset", values: NDArray[np.float64], targets: NDArray[Any]) -> None:
    if dataset.kind == "regression":
        axes.scatter(*values.T, c=targets, norm=_norm(dataset), cmap="viridis", s=9, linewidths=0)
        return
    for color, marker, members in _groups(dataset, targets):
        axes.scatter(*values[members].T, color=color, marker=marker, s=9, alpha=0.7, linewidths=0)


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """The limits of an axis, with a margin; arbitrary for a column without numbers."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    margin = 0.06 * float(np.ptp(finite)) or 0.5
    return float(finite.min()) - margin, float(finite.max()) + margin


def _norm(dataset: "Dataset") -> Normalize:
    return Normalize(float(dataset.targets.min()), float(dataset.targets.max()))


def _name(grid: NDArray[Any], dataset: "Dataset", count: int) -> None:
    names = dataset.columns or tuple(f"column {number + 1}" for number in range(count))
    for position in range(count):
        grid[position, 0].set_ylabel(style.short(names[position], 24), fontsize=9)
        grid[-1, position].set_xlabel(style.short(names[position], 24), fontsize=9)


def _explain(figure: Figure, grid: NDArray[Any], dataset: "Dataset") -> None:
    """What the colours mean, where there are several."""
    if dataset.kind == "regression":
        bar = figure.colorbar(ScalarMappable(_norm(dataset), "viridis"), ax=grid, shrink=0.6, aspect=30)
        bar.set_label(style.short(dataset.classes[0]))
    elif _by_class(dataset):
        shown = [
            Line2D([], [], color=color, marker=marker, linestyle="", label=style.short(name))
            for (color, marker, _), name in zip(_groups(dataset, dataset.targets), dataset.classes, strict=True)
        ]
        figure.legend(handles=shown, loc="outside lower center", ncols=4, frameon=False)


def _title(dataset: "Dataset", rows: int, columns: int) -> str:
    parts = [f"the first {columns} of {dataset.shape[0]} columns"] if columns < dataset.shape[0] else []
    if rows < len(dataset.inputs):
        parts.append(f"{rows:,} of {len(dataset.inputs):,} rows")
    return f"{style.short(dataset.name, 40)}{': ' if parts else ''}{', '.join(parts)}"
