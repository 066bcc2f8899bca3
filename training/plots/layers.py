"""The layer table of a model: output shapes and parameters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from training.plots import style

if TYPE_CHECKING:
    from training.models import Layer

MOST_ROWS = 60
ROW = 0.27
"""Inches."""
PLACES = ((0.02, "left"), (0.36, "left"), (0.74, "right"), (0.98, "right"))
HEADS = ("layer", "kind", "output", "parameters")


def layer_table(layers: Sequence["Layer"], title: str) -> bytes:
    """One row per layer and the total below; of very many layers only the first and last."""
    rows = [_row(layer) for layer in layers]
    if len(rows) > MOST_ROWS:
        hidden = layers[MOST_ROWS // 2 : -(MOST_ROWS // 2)]
        summary_row = (f"… {len(hidden)} more layers", "", "", f"{sum(layer.parameters for layer in hidden):,}")
        rows = [*rows[: MOST_ROWS // 2], summary_row, *rows[-(MOST_ROWS // 2) :]]
    total = ("all", f"{len(layers)} layers", "", f"{sum(layer.parameters for layer in layers):,}")
    lines = [HEADS, *rows, total]
    figure = Figure(figsize=(7.6, ROW * (len(lines) + 2)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(len(lines) + 0.2, -1.8))
    axes.set_axis_off()
    axes.text(0.5, -0.9, style.short(title, 80), ha="center", va="center", fontsize=12)
    for index, line in enumerate(lines):
        if index % 2 and 0 < index < len(lines) - 1:
            axes.add_patch(Rectangle((0, index), 1, 1, color="#eef3f9", linewidth=0))
        weight = "bold" if index in (0, len(lines) - 1) else "normal"
        for (x, ha), cell in zip(PLACES, line, strict=True):
            text = style.short(cell, 32)
            axes.text(x, index + 0.5, text, ha=ha, va="center_baseline", fontsize=9.5, fontweight=weight)
    axes.hlines([1, len(lines) - 1], 0.01, 0.99, color="black", linewidth=1)
    return style.png(figure)


def _row(layer: "Layer") -> tuple[str, str, str, str]:
    shape = "×".join(map(str, layer.shape))
    return layer.name, layer.kind, shape, f"{layer.parameters:,}" if layer.parameters else "-"
