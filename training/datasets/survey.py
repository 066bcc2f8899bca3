"""A survey of a tree of images before decoding: what it contains, and to which size, mode and depth to convert it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from statistics import fmean, median_low
from typing import NamedTuple, Self

import joblib
import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from tailorbird import images as pixels
from tailorbird.errors import InvalidInput
from tailorbird.package.signature import DEPTH, GROUND
from training.config import DataConfig
from training.datasets import trees
from training.datasets.decoding import MAX_PIXELS, Wanted, standing
from training.datasets.layout import some

# of image files, also of those that cannot be read, so that they are counted and not overlooked
SUFFIXES = (
    *pixels.SUFFIXES, ".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".pgm", ".ppm", ".tga", ".tif", ".tiff",
)  # fmt: skip
GREY = ("1", "L", "LA", "La", "I", "F")
ANIMATED = ("PNG", "WEBP")
"""Formats that may hold several pictures; further pictures in a JPEG are previews of the first."""
DARK = 128
"""Content whose mean grey is below this gets a light background."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
TOGETHER = 64
DEEP, CHANNELS = 16, (2, 4, 6)
"""Bits of a channel, and the PNG colour types with several channels (ISO 15948); at this depth Pillow reads only the
upper 8 bits of these.
"""


class Seen(NamedTuple):
    """What only the pixels of an image show.

    `depth` is the number of bits in use in a channel of more than 8, `cut` the number of lower bits in use where only
    the upper 8 of 16 are read; `ink` is the mean grey of what is not transparent.
    """

    depth: int | None = None
    cut: int | None = None
    ink: float | None = None


@dataclass
class Survey:
    """What the headers of all images of a tree show: names, sizes and whether any has colour.

    `animated` are those with several pictures, `unclear` those whose pixels have to be read first, because they have
    more than 8 bits or transparency; `cut` are the lower bits in use of 16-bit images whose upper 8 are read. `guessed`
    are folders whose names have an unknown encoding. Left out are folders without images, hidden images by what hides
    them, and other files by suffix.
    """

    names: list[str] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    colourful: bool = False
    animated: list[str] = field(default_factory=list)
    unclear: set[str] = field(default_factory=set)
    cut: list[int] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    guessed: set[str] = field(default_factory=set)
    hidden: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path, advance: Callable[[], None]) -> Self:
        """Survey a tree."""
        survey = cls()
        with trees.entries(root) as entries:
            for entry in entries:
                suffix = PurePosixPath(entry.name).suffix.lower()
                if isinstance(entry, trees.Folder):
                    survey.folders.add(entry.name)
                elif trees.hidden(entry.name):
                    survey._hide(entry.name, suffix)
                elif suffix not in SUFFIXES:
                    survey.others[suffix or "no suffix"] += 1
                    survey.folders |= {*map(str, PurePosixPath(entry.name).parents)} - {"."}  # a zip need not name them
                else:
                    survey.names.append(entry.name)
                    survey._guess(entry)
                    survey._look(entry)
                    advance()
        return survey

    def _hide(self, name: str, suffix: str) -> None:
        steps = PurePosixPath(name).parts
        if suffix in SUFFIXES and not steps[-1].startswith("._") and trees.RESOURCES not in steps:
            index = next(index for index, step in enumerate(steps, 1) if step.startswith("."))
            self.hidden["/".join(steps[:index])] += 1

    def _guess(self, file: trees.File) -> None:
        folder = str(PurePosixPath(file.name).parent)
        if file.guessed and not folder.isascii():
            self.guessed.add(folder)

    def _look(self, file: trees.File) -> None:
        try:
            with file.open() as opened, Image.open(opened, formats=pixels.FORMATS) as image:
                cut = _is_cut(image)  # before reading its tags, for which Pillow would decode it
                self.sizes[standing(image)] += 1
                self.colourful |= not image.mode.startswith(GREY)
                if image.format in ANIMATED and getattr(image, "is_animated", False):
                    self.animated.append(file.name)
                if pixels.is_deep(image) or image.has_transparency_data or cut:
                    self.unclear.add(file.name)
        except UnidentifiedImageError:
            self.broken[file.name] = "is not a PNG, JPEG or WebP image"
        except Exception as error:  # Pillow raises many kinds for damaged files; decoding will name them all
            self.broken[file.name] = str(error) or type(error).__name__

    def check(self, root: Path, config: DataConfig) -> None:
        """Raise InvalidInput if there is nothing to decode."""
        if not self.names:
            left = [_counted(self.others)] if self.others else []
            left += [f"hidden ones in {some(list(map(repr, sorted(self.hidden))))}"] if self.hidden else []
            rest = f", only {' and '.join(left)}" if left else " and no other files"
            raise InvalidInput(
                str(root), f"contains no images{rest}; accepted: PNG, JPEG and WebP in a folder for each class"
            )
        if config.size is None and not self.sizes:
            reasons = some([f"{trees.shown(name)} ({self.broken[name]})" for name in self.names])
            raise InvalidInput(str(root), f"holds {len(self.names):,} images, and none of them can be read: {reasons}")

    def wanted(self, root: Path, config: DataConfig) -> Wanted:
        """The form of all images: the size of the config, else the one that most have, or the median of each side.

        The depth is 16 bits if files declare that they were scaled to that, else what their largest value needs; the
        background is light if what is drawn on it is dark.
        """
        side = config.size or self._size()
        size = (side, side) if isinstance(side, int) else side
        shape = (*size, 3) if (self.colourful if config.colour is None else config.colour) else size
        seen = list(_measured(root, self.unclear))
        self.cut = [look.cut for look in seen if look.cut is not None]
        depths = [look.depth for look in seen if look.depth is not None]
        inks = [look.ink for look in seen if look.ink is not None]
        ground = 255 if inks and fmean(inks) < DARK else GROUND
        return Wanted(shape, max([8, *depths]) if depths else DEPTH, ground)

    def _size(self) -> tuple[int, int]:
        size, count = self.sizes.most_common(1)[0]
        if 2 * count > self.sizes.total():
            return size
        heights, widths = (sorted(element[axis] for element in self.sizes.elements()) for axis in (0, 1))
        return median_low(heights), median_low(widths)

    def notes(self) -> Iterator[str]:
        """Notes of what was left out, and of what is a guess."""
        if self.guessed:
            yield (
                f"names of folders that are not in UTF-8 are read as cp437, as MS-DOS wrote them: "
                f"{some(list(map(repr, sorted(self.guessed))))}; if that is wrong, pack them again with names in UTF-8"
            )
        holding = {str(parent) for name in self.names for parent in PurePosixPath(name).parents}
        empty = {name for name in self.folders - holding if not trees.hidden(name)}
        leaves = empty - {str(parent) for name in empty for parent in PurePosixPath(name).parents}
        if self.cut and (bits := max(self.cut)) < DEEP:
            yield (
                f"{len(self.cut):,} images of {DEEP} bits, in several channels or with an sBIT chunk, use the lower "
                f"{bits}, and the upper 8 are read, so that {2 ** max(0, bits - 8)} of 256 values are left of each: "
                f"save them in 8 bits"
            )
        if self.animated:
            shown = some([trees.shown(name) for name in sorted(self.animated)])
            yield f"of {len(self.animated):,} animated images the first picture is taken: {shown}"
        if leaves:
            yield f"folders without images were ignored: {some(list(map(repr, sorted(leaves))))}"
        if self.hidden:
            counted = [f"{name!r} ({count:,} of them)" for name, count in sorted(self.hidden.items())]
            yield f"hidden images, whose path has a name that begins with a dot, were skipped: {some(counted)}"
        if self.others:
            yield f"files without a suffix of PNG, JPEG or WebP were skipped: {_counted(self.others)}"


def _counted(others: Counter[str]) -> str:
    return some([f"{count} of {trees.shown(suffix)}" for suffix, count in others.most_common()])


def _is_cut(image: ImageFile.ImageFile) -> bool:
    """Whether it has 16 bits in several channels, by the raw mode that Pillow unpacks."""
    return not pixels.is_deep(image) and any(";16" in str(tile[3]) for tile in image.tile)


def _measured(root: Path, names: Collection[str]) -> Iterator[Seen]:
    if not names:
        return
    with trees.files(root) as files, ThreadPoolExecutor(joblib.cpu_count()) as pool:
        chosen = (file for file in files if file.name in names)
        while batch := [_contents(file) for file in islice(chosen, TOGETHER)]:
            yield from pool.map(_look_at, batch)


def _contents(file: trees.File) -> bytes:
    try:
        return file.read()
    except (InvalidInput, OSError):  # decoding will report it
        return b""


def _look_at(data: bytes) -> Seen:
    try:
        image = pixels.decode(data, MAX_PIXELS)
        if pixels.is_deep(image):
            bits = int(np.asarray(image).max()).bit_length()
            return Seen(depth=DEEP, cut=bits) if _is_scaled(data) else Seen(depth=bits)
        rgba = np.asarray(image.convert("RGBA"), np.float32)
    except (InvalidInput, ValueError):
        return Seen()
    wide = data.startswith(pixels.PNG) and data[24] == DEEP and data[25] in CHANNELS  # of its header, IHDR
    cut = 8 + int(rgba[..., :3].max()).bit_length() if wide else None
    alpha = rgba[..., 3]
    if alpha.min() == 255 or not alpha.any():
        return Seen(cut=cut)
    return Seen(cut=cut, ink=float(np.average(rgba[..., :3] @ LUMA, weights=alpha)))


def _is_scaled(data: bytes) -> bool:
    """Whether a PNG file has an sBIT chunk, before its pixels: its values were scaled to all bits (ISO 15948, 12.5)."""
    offset = len(pixels.PNG)
    while data.startswith(pixels.PNG) and (kind := data[offset + 4 : offset + 8]) not in (b"", b"IDAT", b"PLTE"):
        if kind == b"sBIT":
            return True
        offset += 12 + int.from_bytes(data[offset : offset + 4])
    return False
