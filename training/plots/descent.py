"""Gradient descent on a·x² + b·y², which is also the error of a straight line that is fitted to points.

For points whose inputs t have mean 0, b times the mean squared error of the line w·t + c is, up to a constant,
b·mean(t²)·(w - w*)² + b·(c - c*)², where w* and c* are those of the best line. With mean(t²) = a/b that is a·x² + b·y²:
the path of (x, y) also shows how the line approaches the points.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.plots import style

START = (4.0, 2.0)
STEPS = 20
BEST = (1.0, 0.5)
"""Slope and intercept of the best line."""
REACH = 5.0
"""The surface is drawn from -SPAN to SPAN."""
POINTS = 40

Path = NDArray[np.float64]


def path(a: float, b: float, lr: float) -> Path:
    """The start and the point after each step of x -= lr·2·a·x, y -= lr·2·b·y, [steps + 1, 2]."""
    factors = 1 - 2 * lr * np.array([a, b])
    return np.array(START) * factors ** np.arange(STEPS + 1)[:, None]


def points(a: float, b: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points for which the squared error of any line, times b, equals the function of `path` up to a constant."""
    x = np.linspace(-1, 1, POINTS)
    x *= np.sqrt(a / b / (x**2).mean())
    noise = np.random.default_rng(0).normal(0, 1.0, POINTS)
    noise -= noise.mean() + x * (noise @ x) / (x @ x)  # so that BEST is the best line
    return x, BEST[0] * x + BEST[1] + noise


def gradient_descent(a: float, b: float, rates: Sequence[float]) -> bytes:
    """Surface and contours with the path of each learning rate; below, the line that is fitted, step by step."""
    paths = [path(a, b, lr) for lr in rates]
    columns = max(3, len(rates))
    figure = Figure(figsize=(max(11.0, 2.9 * columns), 9.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.45, 1])
    above, below = parts
    surface = above.add_subplot(1, 2, 1, projection="3d")
    contour = above.add_subplot(1, 2, 2)
    _surface(surface, a, b)
    _contour(contour, a, b)
    for index, (way, lr) in enumerate(zip(paths, rates, strict=True)):
        color, dash = style.SEVERAL[index], style.DASHES[index % len(style.DASHES)]
        shown, within = _reaching(way)
        look = {"color": color, "linestyle": dash, "marker": "o", "markevery": slice(within), "zorder": 20 - index}
        contour.plot(*shown.T, markersize=3.5, label=_label(a, b, lr), **look)
        surface.plot(*shown.T, a * shown[:, 0] ** 2 + b * shown[:, 1] ** 2, markersize=3, **look)
    above.legend(*contour.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    _lines(below, a, b, paths, rates)
    figure.suptitle(f"Gradient descent on {a:g}·x² + {b:g}·y², {STEPS} steps from ({START[0]:g}, {START[1]:g})")
    return style.png(figure)


def _label(a: float, b: float, lr: float) -> str:
    """The learning rate and its behaviour: along each axis, a step multiplies the remaining distance."""
    factors = [1 - 2 * lr * a, 1 - 2 * lr * b]
    if max(map(abs, factors)) > 1:
        return f"lr {lr:g}: diverges"
    return f"lr {lr:g}: zigzags" if min(factors) < 0 else f"lr {lr:g}"


def _reaching(way: Path) -> tuple[Path, int]:
    """The path up to where it leaves the picture, and the number of its points inside."""
    out = np.abs(way).max(1) > REACH
    if not out.any():
        return way, len(way)
    within = int(out.argmax())
    last, next_ = way[within - 1 : within + 1]
    step = next_ - last
    moving = step != 0
    share = ((np.sign(step) * REACH - last)[moving] / step[moving]).min()
    return np.vstack([way[:within], last + share * step]), within


def _grid(a: float, b: float) -> tuple[Any, Any, Any]:
    side = np.linspace(-REACH, REACH, 101)
    x, y = np.meshgrid(side, side)
    return x, y, a * x**2 + b * y**2


def _surface(axes: Any, a: float, b: float) -> None:
    x, y, height = _grid(a, b)
    axes.plot_surface(x, y, height, cmap="Greys", alpha=0.45, linewidth=0, rcount=50, ccount=50)
    axes.set(xlabel="x", ylabel="y", zlabel="error")
    axes.view_init(elev=38, azim=-60)
    axes.set_title("surface", fontsize=11)
    axes.tick_params(labelsize=8)


def _contour(axes: Any, a: float, b: float) -> None:
    x, y, height = _grid(a, b)
    levels = height.max() * np.linspace(0.05, 1, 12) ** 2
    axes.contour(x, y, height, levels=levels, colors="#bbbbbb", linewidths=0.8)
    axes.plot(0, 0, "k+", markersize=10)
    axes.set(xlabel="x", ylabel="y", xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    axes.set_title("contours, with the path of each learning rate", fontsize=11)


def _lines(figure: Any, a: float, b: float, paths: Sequence[Path], rates: Sequence[float]) -> None:
    """The points with the line at each step, one panel per learning rate."""
    x, y = points(a, b)
    shades = Normalize(0, STEPS)
    colors: Any = ScalarMappable(shades, "viridis_r")
    grid = figure.subplots(1, len(rates), squeeze=False, sharex=True, sharey=True)[0]
    ends = np.array([x.min(), x.max()]) * 1.05
    for axes, way, lr in zip(grid, paths, rates, strict=True):
        axes.plot(x, y, "o", color="#888888", markersize=3, zorder=0)
        for step, (dw, dc) in enumerate(way):
            axes.plot(ends, (BEST[0] + dw) * ends + BEST[1] + dc, color=colors.to_rgba(step), linewidth=1.3)
        axes.set_title(_label(a, b, lr), fontsize=10)
        axes.set(xlabel="input", xlim=ends, ylim=(y.min() - 4, y.max() + 4))
        axes.grid(alpha=0.3)
    grid[0].set_ylabel("output")
    figure.colorbar(colors, ax=grid, label="step", shrink=0.9, ticks=range(0, STEPS + 1, 5))
    figure.suptitle("the fitted line at each step: w = 1 + x, c = 0.5 + y on the paths above", fontsize=11)
