"""The pictures of a run, as PNG bytes, drawn without a display."""

import io
import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from training.datasets import Dataset
from training.loop import Epoch
from training.vision import torchvision

TRAIN, VALIDATION, MARK = "#4c72b0", "#dd8452", "#999999"
CELLS_WITH_NUMBERS = 20
SHARES = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)
NAME_LENGTH = 20
SHEET_COLUMNS = 12


def curves(epochs: Sequence[Epoch], best: int) -> bytes:
    """Loss and accuracy by epoch, train beside validation where there is one, with the epoch that was kept marked."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    numbers = [epoch.epoch for epoch in epochs]
    splits = {"train": ("train (running mean)", TRAIN), "val": ("validation", VALIDATION)}
    if all(math.isnan(epoch.val_loss) for epoch in epochs):
        del splits["val"]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, (label, color) in splits.items():
            values = [getattr(epoch, f"{split}_{name}") for epoch in epochs]
            axes.plot(numbers, values, color=color, label=label, marker="o", markersize=4 if len(epochs) <= 30 else 0)
        axes.axvline(best, color=MARK, linestyle=":", zorder=0, label=f"kept: epoch {best}")
        axes.set(xlabel="epoch", ylabel=name, xlim=(numbers[0] - 0.5, numbers[-1] + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return _png(figure)


def confusion(counts: NDArray[np.int64], classes: Sequence[str], title: str) -> bytes:
    """Rows are true classes, columns predicted ones; colour is the root of the row's share, so that errors show."""
    size = min(14.0, 0.62 * len(classes) + 3.5)
    figure = Figure(figsize=(size, 0.9 * size), layout="compressed")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    drawn = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    names = [name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…" for name in classes]
    axes.set_xticks(range(len(classes)), names, ha="right", va="center", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), names)
    few = len(classes) <= CELLS_WITH_NUMBERS
    axes.tick_params(labelsize=min(10, 55 * size / len(classes)))
    axes.tick_params("x", labelrotation=45 if few else 90)
    axes.set(xlabel="predicted", ylabel="true")
    figure.suptitle(title)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, ticks=SHARES, format=PercentFormatter(1))
    bar.set_label("share of the true class")
    if few:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > 0.3 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=9)
    return _png(figure)


def contact_sheet(dataset: Dataset) -> bytes:
    """The first images of each class, a row a class."""
    make_grid = torchvision("utils").make_grid
    classes = range(len(dataset.classes))
    rows = np.zeros((len(classes), SHEET_COLUMNS, *dataset.shape), np.uint8)  # a class of few images leaves blanks
    for index in classes:
        found = dataset.images[dataset.labels == index][:SHEET_COLUMNS]
        rows[index, : len(found)] = found
    images = torch.from_numpy(rows.reshape(-1, *dataset.shape))
    grid = make_grid(images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2), SHEET_COLUMNS)
    figure = Figure(figsize=(SHEET_COLUMNS * 0.7 + 2, len(rows) * 0.7 + 0.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(grid.permute(1, 2, 0).numpy(), interpolation="nearest")
    pitch = grid.shape[1] / len(rows)
    axes.set_yticks([pitch * (row + 0.5) for row in range(len(rows))], dataset.classes)
    axes.set_xticks([])
    axes.set_title(f"{dataset.name}: the first {SHEET_COLUMNS} images of each class")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
