"""The pictures of a run, as PNG bytes, drawn without a display."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.datasets import Dataset
from training.loop import Epoch
from training.vision import torchvision

TRAIN, VALIDATION, MARK = "#4c72b0", "#dd8452", "#999999"
CELLS_WITH_NUMBERS = 20
SHEET_COLUMNS = 12


def curves(epochs: Sequence[Epoch], best: int) -> bytes:
    """Loss and accuracy by epoch, train beside validation, with the epoch that was kept marked."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    numbers = [epoch.epoch for epoch in epochs]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, color in (("train", TRAIN), ("val", VALIDATION)):
            axes.plot(numbers, [getattr(epoch, f"{split}_{name}") for epoch in epochs], color=color, marker=".",
                      label={"train": "train (running mean)", "val": "validation"}[split])  # fmt: skip
        axes.axvline(best, color=MARK, linestyle=":", label=f"kept: epoch {best}")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return _png(figure)


def confusion(counts: NDArray[np.int64], classes: Sequence[str], title: str) -> bytes:
    """Rows are true classes, columns predicted ones; colour is the share of the row."""
    size = max(5.0, 0.6 * len(classes) + 2)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if len(classes) <= CELLS_WITH_NUMBERS:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=9)
    return _png(figure)


def contact_sheet(dataset: Dataset) -> bytes:
    """The first images of each class, a row a class."""
    make_grid = torchvision("utils").make_grid
    rows = [dataset.images[dataset.labels == index][:SHEET_COLUMNS] for index in range(len(dataset.classes))]
    images = torch.from_numpy(np.concatenate(rows))
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
