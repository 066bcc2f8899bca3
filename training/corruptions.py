"""Corruptions of images, in families: what an estimator of accuracy is fitted on.

A corruption takes pixels [N, H, W] or [N, H, W, C] as float32 from 0 to 1, a severity above 0 and up to 1, and a
generator, and returns pixels of the same shape. The families follow those of Hendrycks and Dietterich 2019, as far as
array operations on images of any size allow.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels = NDArray[np.floating[Any]]
Corruption = Callable[[Pixels, float, np.random.Generator], Pixels]

SEVERITIES = (0.05, 0.12, 0.25, 0.45, 0.75)
WIDEST_BLUR = 0.09
FARTHEST_SHIFT = 0.3
WIDEST_ANGLE = 60.0
"""Degrees; the widths and shifts are shares of an image's side."""


def corrupt(name: str, images: NDArray[np.uint8], severity: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Images [N, H, W] or [N, H, W, C] under one corruption of FAMILIES."""
    corrupted = FAMILIES[name](images.astype(np.float32) / 255, severity, random)
    return np.asarray(np.rint(np.clip(corrupted, 0, 1) * 255), np.uint8)


def strangers(images: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Images of no class: each is put together from quarters of four images [N, H, W] or [N, H, W, C]."""
    mixed, (height, width) = images.copy(), (side // 2 for side in images.shape[1:3])
    for rows in (slice(height), slice(height, None)):
        for columns in (slice(width), slice(width, None)):
            mixed[:, rows, columns] = images[random.permutation(len(images)), rows, columns]
    return mixed


def _noise(pixels: Pixels, severity: float, random: np.random.Generator) -> Pixels:
    return pixels + random.normal(0, 0.5 * severity, pixels.shape).astype(np.float32)


def _impulses(pixels: Pixels, severity: float, random: np.random.Generator) -> Pixels:
    spoiled = random.random(pixels.shape) < 0.4 * severity
    return np.where(spoiled, random.integers(0, 2, pixels.shape), pixels).astype(np.float32)


def _blur(pixels: Pixels, severity: float, _: np.random.Generator) -> Pixels:
    width = WIDEST_BLUR * severity * pixels.shape[1]
    return np.asarray(ndimage.gaussian_filter(pixels, (0, width, width, *[0] * (pixels.ndim - 3))))


def _contrast(pixels: Pixels, severity: float, _: np.random.Generator) -> Pixels:
    means = pixels.mean(axis=tuple(range(1, pixels.ndim)), keepdims=True)
    return np.asarray(means + (pixels - means) * np.float32(1 - 0.9 * severity))


def _brightness(pixels: Pixels, severity: float, random: np.random.Generator) -> Pixels:
    sign = random.choice((-1, 1), (len(pixels), *[1] * (pixels.ndim - 1)))
    return np.clip(pixels + (0.6 * severity * sign).astype(np.float32), 0, 1)


def _shift(pixels: Pixels, severity: float, random: np.random.Generator) -> Pixels:
    most = max(1, round(FARTHEST_SHIFT * severity * pixels.shape[1]))
    steps = random.integers(-most, most + 1, (len(pixels), 2))
    return np.stack([_moved(image, *step) for image, step in zip(pixels, steps.tolist(), strict=True)])


def _moved(image: Pixels, down: int, right: int) -> Pixels:
    moved = np.zeros_like(image)
    height, width = image.shape[:2]
    rows, columns = slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right))
    from_rows, from_columns = slice(max(0, -down), height - max(0, down)), slice(max(0, -right), width - max(0, right))
    moved[rows, columns] = image[from_rows, from_columns]
    return moved


def _rotation(pixels: Pixels, severity: float, random: np.random.Generator) -> Pixels:
    angle = WIDEST_ANGLE * severity * random.choice((-1, 1))
    return np.asarray(ndimage.rotate(pixels, angle, axes=(1, 2), reshape=False, order=1))


def _zoom(pixels: Pixels, severity: float, random: np.random.Generator) -> Pixels:
    scale = (1 + 0.9 * severity) ** random.choice((-1, 1))
    centre = (np.array(pixels.shape[1:3]) - 1) / 2
    matrix = np.ones(pixels.ndim)
    matrix[1:3] = scale
    offset = np.zeros(pixels.ndim)
    offset[1:3] = centre * (1 - scale)
    return np.asarray(ndimage.affine_transform(pixels, matrix, offset, order=1))


def _occlusion(pixels: Pixels, severity: float, random: np.random.Generator) -> Pixels:
    height, width = pixels.shape[1:3]
    size = max(1, round(0.7 * severity * min(height, width)))
    hidden = pixels.copy()
    corners = np.stack(
        (random.integers(0, height - size + 1, len(pixels)), random.integers(0, width - size + 1, len(pixels)))
    )
    for image, row, column in zip(hidden, *corners.tolist(), strict=True):
        image[row : row + size, column : column + size] = 0
    return hidden


def _pixelation(pixels: Pixels, severity: float, _: np.random.Generator) -> Pixels:
    size = 1 + max(1, round(0.25 * severity * pixels.shape[1]))
    rows, columns = (np.minimum(np.arange(side) // size * size + size // 2, side - 1) for side in pixels.shape[1:3])
    return pixels[:, rows][:, :, columns]


def _shade(pixels: Pixels, severity: float, random: np.random.Generator) -> Pixels:
    ramp = 1 - severity * np.linspace(0, 1, pixels.shape[2], dtype=np.float32)
    ramps = np.where(random.random((len(pixels), 1)) < 0.5, ramp, ramp[::-1])
    return pixels * ramps.reshape(len(pixels), 1, -1, *[1] * (pixels.ndim - 3))


def _negative(pixels: Pixels, severity: float, _: np.random.Generator) -> Pixels:
    return pixels * np.float32(1 - severity) + (1 - pixels) * np.float32(severity)


FAMILIES: dict[str, Corruption] = {
    "noise": _noise,
    "impulses": _impulses,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "shift": _shift,
    "rotation": _rotation,
    "zoom": _zoom,
    "occlusion": _occlusion,
    "pixelation": _pixelation,
    "shade": _shade,
    "negative": _negative,
}
