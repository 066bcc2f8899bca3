"""Scenarios of the benchmark of drift: corruptions that no estimator was fitted on, and changes of the traffic.

A corruption takes uint8 images [N, H, W], a severity above 0 and up to 1 and a generator, and gives such images. None
of them is a family of `training.corruptions`.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tailorbird.drift import cells

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]
Shares = NDArray[np.float64]
Corruption = Callable[[Images, float, np.random.Generator], Images]
SEVERITIES = (0.15, 0.4, 0.7, 1.0)


@dataclass(frozen=True)
class Traffic:
    """Answers to some images: probabilities, their cell, and whether each is right."""

    probabilities: NDArray[np.float32]
    targets: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        return self.probabilities.argmax(1) == self.targets

    def at(self, places: NDArray[np.int64]) -> "Traffic":
        return Traffic(self.probabilities[places], self.targets[places])

    def counts(self) -> Shares:
        return cells.tally(
            self.probabilities.argmax(1), self.probabilities.max(1).astype(float), self.probabilities.shape[1]
        )

    def followed_by(self, others: "Traffic") -> "Traffic":
        joined = (self.probabilities, others.probabilities), (self.targets, others.targets)
        return Traffic(*(np.concatenate(pair) for pair in joined))


@dataclass(frozen=True)
class Scenario:
    """Windows of one kind of traffic."""

    name: str
    kind: str
    windows: list[Traffic]

    @property
    def truth(self) -> Shares:
        return np.array([window.correct.mean() for window in self.windows])

    def errors(self, estimate: Callable[[Traffic], float]) -> Shares:
        """In points."""
        return 100 * np.abs(np.array([estimate(window) for window in self.windows]) - self.truth)


def _whole(pixels: Floats) -> Images:
    return np.asarray(np.rint(np.clip(pixels, 0, 255)), np.uint8)


def shot_noise(images: Images, severity: float, random: np.random.Generator) -> Images:
    """Few photons."""
    photons = 60 * (1 - severity) ** 2 + 2
    return _whole(random.poisson(images / 255 * photons) / photons * 255)


def motion_blur(images: Images, severity: float, random: np.random.Generator) -> Images:
    """A camera that moved along an axis."""
    axis = random.integers(1, 3)
    return _whole(ndimage.uniform_filter1d(images.astype(np.float32), 1 + round(10 * severity), axis=axis))


def shear(images: Images, severity: float, random: np.random.Generator) -> Images:
    """A slanted view."""
    slant = 0.8 * severity * random.choice((-1, 1))
    matrix = np.array([[1, 0, 0], [0, 1, 0], [0, slant, 1]])
    offset = [0, 0, -slant * (images.shape[1] - 1) / 2]
    return _whole(ndimage.affine_transform(images.astype(np.float32), matrix, offset, order=1))


def gamma(images: Images, severity: float, random: np.random.Generator) -> Images:
    """A tone curve of another camera."""
    exponent = (1 + 4 * severity) ** random.choice((-1, 1))
    return _whole(255 * (images / 255) ** exponent)


def jpeg(images: Images, severity: float, _: np.random.Generator) -> Images:
    """Thrifty compression."""
    quality = max(1, round(40 * (1 - severity) ** 2))
    return np.stack([_compressed(image, quality) for image in images])


def _compressed(image: Images, quality: int) -> Images:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def stripes(images: Images, severity: float, random: np.random.Generator) -> Images:
    """Rows of a sensor that are dead."""
    dead = random.random((len(images), images.shape[1], 1)) < 0.5 * severity
    return np.where(dead, 255, images).astype(np.uint8)


def fog(images: Images, severity: float, random: np.random.Generator) -> Images:
    """Smooth brightness in front of everything."""
    clouds = ndimage.gaussian_filter(random.random(images.shape).astype(np.float32), (0, 4, 4))
    low, high = clouds.min((1, 2), keepdims=True), clouds.max((1, 2), keepdims=True)
    share = np.float32(0.6 * severity)
    return _whole(images * (1 - share) + 255 * share * (clouds - low) / (high - low))


def elastic(images: Images, severity: float, random: np.random.Generator) -> Images:
    """A lens, or cloth, that bends."""
    height, width = images.shape[1:]
    steps = ndimage.gaussian_filter(random.normal(0, 1, (2, height, width)), (0, 3, 3))
    steps *= 5 * severity / np.abs(steps).max()
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    places = np.stack((rows + steps[0], columns + steps[1]))
    return np.stack([_whole(ndimage.map_coordinates(image.astype(np.float32), places, order=1)) for image in images])


def posterization(images: Images, severity: float, _: np.random.Generator) -> Images:
    """Few grey levels."""
    levels = max(2, round(8 * (1 - severity)))
    return _whole(np.rint(images / 255 * (levels - 1)) / (levels - 1) * 255)


def mirror(images: Images, severity: float, random: np.random.Generator) -> Images:
    """Some images left to right, as a camera that was mounted otherwise takes them."""
    turned = random.random((len(images), 1, 1)) < severity
    return np.where(turned, images[:, :, ::-1], images)


CORRUPTIONS: dict[str, Corruption] = {
    function.__name__.replace("_", " "): function
    for function in (shot_noise, motion_blur, shear, gamma, jpeg, stripes, fog, elastic, posterization, mirror)
}
