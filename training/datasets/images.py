"""Images of the user's own: a folder or archive with a folder for each class, decoded once, in parallel.

`train/CLASS/*.jpg`, with `validation/CLASS/*.jpg` and `test/CLASS/*.jpg` or without, or `CLASS/*.jpg` alone; a folder
around it all does not matter.
Every image is brought to one size and mode by the rule that serving has too: `tailorbird.images`.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import PIL
from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tailorbird import images as pixels
from tailorbird import terminal
from tailorbird.errors import InvalidInput
from training.config import DataConfig
from training.datasets import kept, trees
from training.datasets.dataset import Dataset
from training.datasets.decoding import Decoding, Shape, standing
from training.datasets.layout import layout, some

READ = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
# of pictures, also such as cannot be read, so that these are counted and not overlooked
SUFFIXES = (*READ, ".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".pgm", ".ppm", ".tga", ".tif", ".tiff")
GREY = ("1", "L", "LA", "La", "I", "F")
RULE = 2
"""Counts changes of how images are dealt, converted and kept: what was decoded by another rule is decoded again."""


def load(config: DataConfig, folder: Path, cache: Path) -> Dataset:
    """Decode a tree of images, or find it decoded; `config.path` is absolute or below `folder`.

    Raises InvalidInput that names the tree for what cannot be a data set, or the files that cannot be read.
    """
    root = config.located(folder)
    source = [str(root), trees.fingerprint(root), config.size, config.colour, config.skip_broken, RULE, PIL.__version__]
    return kept.load(cache, source, _title(root), partial(_make, root, config))


def _title(root: Path) -> str:
    suffix = next((one for one in trees.ARCHIVES if root.name.lower().endswith(one)), "")
    return root.name.removesuffix(suffix) or "images"


def _make(root: Path, config: DataConfig, into: Path) -> None:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = terminal.console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"looking through {root.name}", total=None)
        names, shape, others = _scan(root, config, partial(bar.advance, task))
        where = layout(root, names)
        bar.reset(task, total=len(names), description=f"decoding {root.name}")
        decoding = Decoding(root, into, where, shape)
        decoding.run(partial(bar.advance, task))
    decoding.finish(config.skip_broken, [*_barren(root, names), *_left_out(others)])


def _barren(root: Path, names: Sequence[str]) -> Iterator[str]:
    """A note of folders that may be thought to be classes, and hold no image."""
    holding = {PurePosixPath(name).parent for name in names}
    leaves = [Path(folder).relative_to(root) for folder, below, _ in os.walk(root) if not below]
    empty = [str(leaf) for leaf in leaves if PurePosixPath(leaf) not in holding and not trees.hidden(str(leaf))]
    if barren := sorted(empty):
        yield f"folders that hold no image are no class: {some(list(map(repr, barren)))}"


def _left_out(others: Counter[str]) -> Iterator[str]:
    if others:
        yield f"files whose names are not those of PNG, JPEG or WebP were left out: {_counted(others)}"


def _counted(others: Counter[str]) -> str:
    return some([f"{count} of {suffix}" for suffix, count in others.most_common()])


def _scan(root: Path, config: DataConfig, advance: Callable[[], None]) -> tuple[list[str], Shape, Counter[str]]:
    """The names of all images, and the shape that they shall have: by the config, else by what is most common.

    Then how many other files there are, by suffix.
    """
    names: list[str] = []
    sizes: Counter[tuple[int, int]] = Counter()
    colourful = False
    others: Counter[str] = Counter()
    with trees.files(root) as files:
        for file in files:
            suffix = PurePosixPath(file.name).suffix.lower()
            if suffix not in SUFFIXES:
                others[suffix or "no suffix"] += 1
                continue
            names.append(file.name)
            if (config.size is None or config.colour is None) and (header := _header(file)):
                sizes[header[0]] += 1
                colourful |= header[1]
            advance()
    if not names:
        found = f", only {_counted(others)}" if others else " and no other files"
        raise InvalidInput(
            str(root), f"holds no images{found}; accepted: PNG, JPEG and WebP in a folder for each class"
        )
    if config.size is None and not sizes:
        raise InvalidInput(str(root), f"holds {len(names):,} images, and none of them can be read: {some(names)}")
    side = config.size or min(sizes, key=lambda size: (-sizes[size], size))
    size = (side, side) if isinstance(side, int) else side
    return names, (*size, 3) if (colourful if config.colour is None else config.colour) else size, others


def _header(file: trees.File) -> tuple[tuple[int, int], bool] | None:
    """Height and width of an image, and whether it has colour; None where that cannot be told."""
    try:
        with file.open() as opened, Image.open(opened, formats=pixels.FORMATS) as image:
            return standing(image), not image.mode.startswith(GREY)
    except Exception:  # of many kinds, as damaged files are; decoding will name it
        return None
