"""Sheets of images: the first of each class, or images with their predictions."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from training.plots import style

if TYPE_CHECKING:
    from training.datasets import Dataset

Images = NDArray[np.uint8]

CONTACT_COLUMNS = 12
APART = 1.06
MOST_CLASSES = 40
"""The columns of a contact sheet."""
SHEET_COLUMNS = 10
LINE = 14
"""The letters that fit below an image."""


def contact_sheet(dataset: "Dataset") -> bytes:
    """The first images of each class, one row per class; of very many classes only the first."""
    classes = dataset.classes[:MOST_CLASSES]
    rows = [
        dataset.inputs[np.flatnonzero(_holds(dataset, position))[:CONTACT_COLUMNS]] for position in range(len(classes))
    ]
    side = 0.7
    figure = Figure(figsize=(CONTACT_COLUMNS * side + 2, len(rows) * side + 0.8), layout="constrained")
    axes = figure.subplots()
    for row, images in enumerate(rows):  # a class with few images leaves blanks
        for column, image in enumerate(images):
            _image(axes, image, column * APART, row * APART)
    axes.set_yticks([row * APART for row in range(len(rows))], [style.short(name) for name in classes], fontsize=9)
    axes.set_xticks([])
    right, bottom = ((count - 1) * APART + 0.5 for count in (CONTACT_COLUMNS, len(rows)))
    axes.set(xlim=(-0.5, right), ylim=(bottom, -0.5), aspect="equal", frame_on=False)
    of = "each class" if len(classes) == len(dataset.classes) else f"{len(classes)} of {len(dataset.classes)} classes"
    axes.set_title(f"{style.short(dataset.name, 60)}: the first {CONTACT_COLUMNS} images of {of}", fontsize=11)
    return style.png(figure)


def predictions(images: Images, truths: Sequence[str], answers: Sequence[str], title: str) -> bytes:
    """Images [N, H, W] or [N, H, W, 3] with «true:predicted» beneath each; mistakes are framed, and bold."""
    rows = max(1, math.ceil(len(images) / SHEET_COLUMNS))
    figure = Figure(figsize=(13, rows * 1.62 + 0.9), layout="constrained")
    axes = figure.subplots()
    for index, (image, true, answer) in enumerate(zip(images, truths, answers, strict=True)):
        row, column = divmod(index, SHEET_COLUMNS)
        right = true == answer
        color = style.RIGHT if right else style.WRONG
        _image(axes, image, column * 1.13, row * 1.4)
        box = (column * 1.13 - 0.5, row * 1.4 - 0.5), 1, 1
        axes.add_patch(Rectangle(*box, fill=False, edgecolor=color, linewidth=0.8 if right else 4))
        weight = "normal" if right else "bold"
        caption = _caption(true, answer)
        axes.text(
            column * 1.13,
            row * 1.4 + 0.54,
            caption,
            ha="center",
            va="top",
            color=color,
            fontsize=8.5,
            fontweight=weight,
        )
    axes.set(xlim=(-0.56, SHEET_COLUMNS * 1.13 - 0.57), ylim=(rows * 1.4 - 0.5, -0.56), aspect="equal")
    axes.set_axis_off()
    wrong = sum(true != answer for true, answer in zip(truths, answers, strict=True))
    style.title(figure, f"{title}\ntrue:predicted, {wrong} of {len(images)} wrong (framed, bold)")
    return style.png(figure)


def _holds(dataset: "Dataset", index: int) -> Any:
    """Whether each example is of a class, or has a label, [N]."""
    return dataset.targets[:, index] == 1 if dataset.kind == "multilabel" else dataset.targets == index


def _image(axes: Any, image: Images, column: float, row: float) -> None:
    colours = image if image.ndim == 3 else image[..., None].repeat(3, axis=2)  # a colour map would round greys
    extent = (column - 0.5, column + 0.5, row + 0.5, row - 0.5)
    axes.imshow(colours, extent=extent, interpolation="nearest")


def _caption(true: str, answer: str) -> str:
    """On one line if it fits."""
    if len(true) + len(answer) < LINE:
        return f"{style.short(true)}:{style.short(answer)}"
    return f"{style.short(true, LINE - 1)}:\n{style.short(answer, LINE)}"
