"""Learning curves: of one run with its overfitting gap, and of many runs in one picture."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.plots import style

if TYPE_CHECKING:
    from training.progress import Epoch

MARKED = 30
"""The largest number of points at which a curve has markers."""
LOGARITHMIC = 20
"""From this ratio of losses on, the scale is logarithmic."""
COINCIDE = 0.01
"""Curves closer than this, relative to their values, are drawn one around the other."""
MOST_AROUND = 3
MARKERS = ("", "o", "s", "^")
SPLITS = {"train": ("train (running mean)", style.TRAIN), "val": ("validation", style.VALIDATION)}

Points = tuple[NDArray[np.int64], NDArray[np.float64]]


def curves(epochs: Sequence["Epoch"], best: int, fitted: Mapping[str, float] | None = None) -> bytes:
    """Loss and accuracy by epoch for train and validation, with the gap between them at the best epoch.

    The gap is measured with `fitted`, loss and accuracy of the kept weights on the training split; without it, with the
    running mean over the epoch, which dropout, augmentation and averaged weights make look worse. Missing figures, such
    as the accuracy of a regression, are left out.
    """
    shown = [name for name in ("loss", "accuracy") if len(_measured(epochs, f"train_{name}")[0])]
    figure = Figure(figsize=(5 * len(shown) + (len(shown) == 1), 4.4), layout="constrained")
    explained: dict[Any, Any] = {}
    for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        drawn = {split: _measured(epochs, f"{split}_{name}") for split in SPLITS}
        for (label, color), (numbers, values) in zip(SPLITS.values(), drawn.values(), strict=True):
            if len(numbers):
                size = 4 if len(numbers) <= MARKED else 0
                axes.plot(numbers, values, color=color, label=label, marker="o", markersize=size)
        axes.axvline(best, color=style.MARK, linestyle=":", zorder=0, label=f"kept: epoch {best}")
        axes.set(xlabel="epoch", ylabel=name, xlim=(epochs[0].epoch - 0.5, epochs[-1].epoch + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        _mark_gap(axes, drawn, best, name, (fitted or {}).get(name))
        handles, labels = axes.get_legend_handles_labels()
        explained |= dict(zip(labels, handles, strict=True))
    look: dict[str, Any] = {"loc": "outside upper center", "ncols": 2 * len(shown), "frameon": False}
    figure.legend(explained.values(), explained, **look)
    return style.png(figure)


def loss_curves(series: Mapping[str, Sequence[tuple[int, float]]], title: str) -> bytes:
    """The loss of many runs by epoch, `{run: [(epoch, loss), …]}`, in one picture.

    Neighbouring runs share a colour and differ in their dashes, so that 18 runs of 6 models by 3 optimisers have one
    colour per model.
    """
    figure = Figure(figsize=(11, max(5.0, 1.5 + 0.24 * len(series))), layout="constrained")
    axes: Any = figure.subplots()
    alike = math.ceil(len(series) / len(style.SEVERAL))
    lines = [np.array(points, float).reshape(-1, 2).T for points in series.values()]
    for index, (name, (numbers, values)) in enumerate(zip(series, lines, strict=True)):
        group, within = divmod(index, alike)
        turn, dash = divmod(within, len(style.DASHES))
        beneath = sum(_coincide(lines[index], other) for other in lines[index + 1 :])
        axes.plot(
            numbers, values, color=style.SEVERAL[group], linestyle=style.DASHES[dash],
            linewidth=1.6 + 2.4 * min(beneath, MOST_AROUND),
            marker=MARKERS[turn % len(MARKERS)], markersize=4, label=style.short(name, 48),
        )  # fmt: skip
    losses = np.concatenate([values for _, values in lines])
    losses = losses[np.isfinite(losses)]
    if len(losses) and losses.min() > 0 and losses.max() > LOGARITHMIC * losses.min():
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel="loss", title=title)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, handlelength=3.2)
    return style.png(figure)


def _coincide(first: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return first.shape == other.shape and np.allclose(first, other, rtol=COINCIDE, atol=0)


def _measured(epochs: Sequence["Epoch"], name: str) -> Points:
    """The epochs in which a figure was measured, and its values."""
    points = [(epoch.epoch, value) for epoch in epochs if not math.isnan(value := getattr(epoch, name))]
    return np.array([number for number, _ in points], np.int64), np.array([value for _, value in points], np.float64)


def _mark_gap(axes: Any, drawn: Mapping[str, Points], best: int, name: str, fitted: float | None) -> None:
    """Shade the area between the two curves, and label their distance at the best epoch."""
    (train_at, train), (val_at, val) = drawn["train"], drawn["val"]
    both = np.intersect1d(train_at, val_at)
    if best not in both:
        return
    between = [values[np.isin(numbers, both)] for numbers, values in ((train_at, train), (val_at, val))]
    sign = 1 if name == "loss" else -1
    excess = (between[1] - between[0]) * sign
    if (excess > 0).any():
        look: dict[str, Any] = {"color": style.MARK, "alpha": 0.3, "linewidth": 0, "zorder": 0}
        axes.fill_between(both, *between, where=excess > 0, interpolate=True, label="overfitting gap", **look)
    low, high = (float(values[both == best][0]) for values in between)
    if fitted is not None:
        low = fitted
        axes.plot(best, low, "D", color=style.TRAIN, markeredgecolor="black", label="train, kept weights")
    axes.plot([best, best], [low, high], color="black", linewidth=2, solid_capstyle="butt")
    bracket = [(best, value) for value in np.linspace(low, high, 5)]
    corner = _free(axes, [*zip(train_at, train, strict=True), *zip(val_at, val, strict=True), *bracket])
    axes.annotate(
        _gap_label(best, (high - low) * sign, name, fitted is None),
        (best, (low + high) / 2), corner, textcoords="axes fraction",
        ha="center", va="center", fontsize=9, bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "black"},
        arrowprops={"arrowstyle": "-", "linewidth": 0.8},
    )  # fmt: skip


def _gap_label(epoch: int, gap: float, name: str, running: bool) -> str:
    apart = f"{100 * abs(gap):.1f} points" if name == "accuracy" else f"{abs(gap):,.{3 if abs(gap) < 100 else 0}f}"
    if gap > 0:
        return f"gap at epoch {epoch}: {apart}"
    # a running mean over the epoch says nothing about the kept weights
    text = "better than the running mean\nby" if running else "better by"
    return f"epoch {epoch}: validation is\n{text} {apart}"


def _free(axes: Any, points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of some positions in the axes, as fractions, the one that is farthest from every point."""
    places = np.array([(x, y) for x in (0.26, 0.5, 0.74) for y in (0.12, 0.3, 0.5, 0.7, 0.88)])
    shown = axes.transAxes.inverted().transform(axes.transData.transform(np.array(points, float)))
    apart = (places[:, None] - shown) / (0.3, 0.08)  # about half of the text's size
    x, y = places[np.linalg.norm(apart, axis=2).min(1).argmax()]
    return float(x), float(y)
