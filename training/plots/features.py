"""Feature maps of an image, by the convolutions of a model or by a fixed kernel."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.plots import style

if TYPE_CHECKING:
    from torch import nn

MOST_MAPS, MOST_LAYERS = 8, 8
DIAGONAL = np.eye(3, dtype=np.float32)
TIMES = 3
LEAST_SIDE = 2 * TIMES + 1
"""The smallest image of which the diagonal kernel leaves a pixel."""

Floats = NDArray[np.float32]
Images = NDArray[np.uint8]


def feature_maps(maps: Mapping[str, Floats], image: Images, title: str) -> bytes:
    """An image [H, W] or [H, W, 3] and the maps [channels, h, w] of each layer, one row per layer.

    Each map has its own scale, from its least value (dark) to its largest. For deep models a selection of layers is
    shown, for wide ones the first maps.
    """
    places = np.unique(np.linspace(0, len(maps) - 1, min(len(maps), MOST_LAYERS)).round().astype(int))
    shown = [(index + 1, *list(maps.items())[index]) for index in places]
    figure = Figure(figsize=(1.25 * (MOST_MAPS + 2), 1.45 * len(shown) + 0.9), layout="constrained")
    grid = figure.subplots(len(shown), MOST_MAPS + 1, squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[], frame_on=False)
    grid[0, 0].imshow(image, cmap="gray", vmin=0, vmax=255)
    grid[0, 0].set_title("image", fontsize=9)
    for row, (number, name, of_layer) in zip(grid, shown, strict=True):
        channels, height, width = of_layer.shape
        message = f"{min(channels, MOST_MAPS)} of {channels} maps, {height}×{width}"
        row[1].set_title(" ", fontsize=9)  # reserves only height: the text would push the next map away
        heading = f"convolution {number}, layer {name}: {message}"
        row[1].text(0, 1.05, heading, transform=row[1].transAxes, va="bottom", fontsize=9).set_in_layout(False)
        for axes, picture in zip(row[1:], of_layer, strict=False):
            axes.imshow(picture, cmap="viridis", interpolation="nearest")
    left = "" if len(shown) == len(maps) else f", {len(shown)} of {len(maps)} layers"
    style.title(figure, f"{title}{left}")
    return style.png(figure)


def maps(network: "nn.Sequential", image: Images) -> dict[str, Floats]:
    """The output of each convolution for one image, [channels, h, w] by the layer's name.

    Those of a single pixel, as in the gates of a mobilenet, are left out.
    """
    import torch
    from torch import nn

    maps: dict[str, Floats] = {}
    hooks = [
        layer.register_forward_hook(lambda _, __, output, name=name: maps.update({name: output[0].float().numpy()}))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d)
    ]
    network.eval()
    with torch.inference_mode():
        network(torch.from_numpy(image[None].copy()))
    for hook in hooks:
        hook.remove()
    return {name: output for name, output in maps.items() if output[0].size > 1}


def diagonal(image: Images) -> bytes:
    """An image [H, W] convolved once, twice and three times with a 3x3 kernel that has ones on its diagonal.

    Its sides are at least `LEAST_SIDE`.
    """
    steps = [image.astype(np.float32)]
    while len(steps) <= TIMES:
        steps.append(convolved(steps[-1], DIAGONAL))
    figure = Figure(figsize=(13.5, 4.2), layout="constrained")
    kernel, *panels = figure.subplots(1, TIMES + 2, width_ratios=[0.6, *[1] * (TIMES + 1)])
    _draw_kernel(kernel)
    for times, (axes, step) in enumerate(zip(panels, steps, strict=True)):
        axes.imshow(step, cmap="gray", interpolation="nearest")
        name = ("image", "applied once", "twice", "three times")[times]
        axes.set_title(f"{name}\n{step.shape[0]}×{step.shape[1]}", fontsize=10)
        axes.set(xticks=[], yticks=[])
    figure.suptitle("A kernel for falling diagonals: along them it adds up, across them it blurs\n")
    return style.png(figure)


def lines() -> Images:
    """An image [64, 64] of a falling, a rising, a level and an upright line, and a ring."""
    row, column = np.mgrid[:64, :64]
    distance = np.hypot(row - 32, column - 32)
    drawn = (row == column) | (row + column == 63) | (row == 48) | (column == 16) | (np.abs(distance - 24) < 0.6)
    return np.asarray(255 * drawn, np.uint8)


def convolved(image: Floats, kernel: Floats, stride: int = 1, padding: int = 0) -> Floats:
    """The cross-correlation of an image [H, W] with a kernel, which is called a convolution in machine learning."""
    padded = np.pad(image, padding)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)[::stride, ::stride]
    return np.asarray(np.einsum("hwij,ij->hw", windows, kernel))


def _draw_kernel(axes: Any) -> None:
    axes.imshow(DIAGONAL, cmap="gray", vmin=-0.3)
    for (row, column), value in np.ndenumerate(DIAGONAL):
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", color="black" if value else "white")
    axes.set(xticks=[], yticks=[])
    axes.set_title("kernel\n3×3", fontsize=10)
