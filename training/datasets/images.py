"""Images of the user's own: a folder or archive with a folder for each class, decoded once, in parallel.

`train/CLASS/*.jpg`, with `test/CLASS/*.jpg` or without, or `CLASS/*.jpg` alone; a folder around it all does not matter.
Every image is brought to one size and mode by the rule that serving has too: `tailorbird.images`.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tailorbird import images as pixels
from tailorbird.errors import InvalidInput
from training.config import DataConfig
from training.datasets import kept, trees
from training.datasets.dataset import Dataset

READ = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
# of pictures, also such as cannot be read, so that these are counted and not overlooked
SUFFIXES = (*READ, ".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".pgm", ".ppm", ".tga", ".tif", ".tiff")
MAX_PIXELS = 89_000_000
"""Of one image; over it Pillow warns of decompression bombs."""
TURNED = {5, 6, 7, 8}
GREY = ("1", "L", "LA", "La", "I", "F")
NAMED = 3
BATCH_FILES, BATCH_BYTES = 64, 2**23
RULE = 1
"""Counts changes of the rule by which images are converted: what was decoded by another one is decoded again."""

Shape = tuple[int, ...]


def load(config: DataConfig, folder: Path, cache: Path) -> Dataset:
    """Decode a tree of images, or find it decoded; `config.path` is absolute or below `folder`.

    Raises InvalidInput that names the tree for what cannot be a data set, or the files that cannot be read.
    """
    root = folder / Path(config.path or "").expanduser()
    source = [str(root), trees.fingerprint(root), config.size, config.colour, config.skip_broken, RULE, PIL.__version__]
    return kept.load(cache, source, _title(root), partial(_make, root, config))


def _title(root: Path) -> str:
    suffix = next((one for one in trees.ARCHIVES if root.name.lower().endswith(one)), "")
    return root.name.removesuffix(suffix) or "images"


@dataclass(frozen=True)
class Layout:
    """Where each image belongs: its part, and its row there; classes by name, targets by part and row."""

    classes: tuple[str, ...]
    places: dict[str, tuple[str, int]]
    targets: dict[str, list[int]]


def layout(root: Path, names: Sequence[str]) -> Layout:
    """Read parts and classes off the names of all images; raises InvalidInput where they do not tell them.

    Rows go by part, class and name, whatever the order of an archive.
    """
    belongs = {name: _part_and_class(root, parts) for name, parts in zip(names, _below(names), strict=True)}
    if len(belongs) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InvalidInput(str(root), f"holds {twice!r} more than once")
    found = {part: sorted({label for its, label in belongs.values() if its == part}) for part in ("train", "test")}
    _check_classes(root, found["train"], found["test"])
    places: dict[str, tuple[str, int]] = {}
    targets: dict[str, list[int]] = {part: [] for part in found if found[part]}
    for (part, label), name in sorted((where, name) for name, where in belongs.items()):
        places[name] = part, len(targets[part])
        targets[part].append(found["train"].index(label))
    return Layout(tuple(found["train"]), places, targets)


def _below(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The steps of each name, below the folders that are around them all."""
    paths = [PurePosixPath(name).parts for name in names]
    while paths[0][0] not in ("train", "test") and all(len(one) > 2 and one[0] == paths[0][0] for one in paths):
        paths = [one[1:] for one in paths]
    if any(one[0] == "train" for one in paths):
        return paths
    return [("train", *one) if one[0] != "test" else one for one in paths]


def _part_and_class(root: Path, steps: tuple[str, ...]) -> tuple[str, str]:
    if steps[0] not in ("train", "test"):
        raise InvalidInput(
            str(root),
            f"has images in {steps[0]!r} beside 'train'; accepted: 'train' and 'test' alone, since data.validation "
            f"and data.holdout are dealt from 'train'",
        )
    if len(steps) < 3:
        raise InvalidInput(str(root), f"has {steps[-1]!r} outside of a folder that names its class")
    return steps[0], steps[1]


def _check_classes(root: Path, train: list[str], test: list[str]) -> None:
    if not train:
        raise InvalidInput(str(root), "has images in 'test' alone; accepted: 'train' and 'test', or a folder a class")
    if len(train) == 1:
        raise InvalidInput(str(root), f"has one class only, {train[0]!r}; accepted: two or more")
    for here, there, part in ((test, train, "train"), (train, test, "test")):
        if test and (missing := [label for label in here if label not in there]):
            raise InvalidInput(str(root), f"has no images in '{part}' of {_some(list(map(repr, missing)))}")


def _make(root: Path, config: DataConfig, into: Path) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"looking through {root.name}", total=None)
        names, shape = _scan(root, config, partial(bar.advance, task))
        where = layout(root, names)
        bar.reset(task, total=len(names), description=f"decoding {root.name}")
        decoding = Decoding(root, into, where, shape)
        decoding.run(partial(bar.advance, task))
    decoding.finish(config.skip_broken)


def _scan(root: Path, config: DataConfig, advance: Callable[[], None]) -> tuple[list[str], Shape]:
    """The names of all images, and the shape that they shall have: by the config, else by what is most common."""
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
        found = (
            f"only {_some([f'{count} of {suffix}' for suffix, count in others.most_common()])}" if others else "nothing"
        )
        raise InvalidInput(
            str(root), f"holds no images, {found}; accepted: PNG, JPEG and WebP in a folder for each class"
        )
    if config.size is None and not sizes:
        raise InvalidInput(str(root), f"holds {len(names):,} images, and none of them can be read: {_some(names)}")
    side = config.size or min(sizes, key=lambda size: (-sizes[size], size))
    size = (side, side) if isinstance(side, int) else side
    return names, (*size, 3) if (colourful if config.colour is None else config.colour) else size


def _header(file: trees.File) -> tuple[tuple[int, int], bool] | None:
    """Height and width of an image, and whether it has colour; None where that cannot be told."""
    try:
        with file.open() as opened, Image.open(opened, formats=pixels.FORMATS) as image:
            return _standing(image), not image.mode.startswith(GREY)
    except Exception:  # of many kinds, as damaged files are; decoding will name it
        return None


def _standing(image: Image.Image) -> tuple[int, int]:
    """Height and width of an image as it stands once its orientation tag is applied."""
    try:
        turned = image.getexif().get(0x0112) in TURNED
    except Exception:  # of many kinds, for tags that are damaged: they are not applied then
        turned = False
    return image.size if turned else image.size[::-1]


@dataclass
class Outcome:
    """What came of some images: how many there were, which could not be read and why, and how many were changed."""

    files: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    resized: int = 0
    recoloured: int = 0

    def add(self, other: "Outcome") -> None:
        self.files += other.files
        self.broken |= other.broken
        self.resized += other.resized
        self.recoloured += other.recoloured


class Decoding:
    """All images of a tree on their way into the files of a data set."""

    def __init__(self, root: Path, into: Path, where: Layout, shape: Shape) -> None:
        self._root, self._into, self._where, self._shape = root, into, where, shape
        self._rows: dict[str, kept.Rows] = {}
        self._outcome = Outcome()

    def run(self, advance: Callable[[int], None]) -> None:
        """Read the files in order and decode them in threads: Pillow holds no lock while it does."""
        workers = os.cpu_count() or 1
        with ExitStack() as stack:
            for part, targets in self._where.targets.items():
                rows = kept.Rows(self._into / kept.INPUTS[part], len(targets), self._shape)
                self._rows[part] = stack.enter_context(closing(rows))
            pool = stack.enter_context(ThreadPoolExecutor(workers))
            under_way: deque[Future[Outcome]] = deque()
            for batch in self._batches():
                under_way.append(pool.submit(self._decode, batch))
                if len(under_way) > 2 * workers:
                    self._end(under_way.popleft(), advance)
            for future in under_way:
                self._end(future, advance)

    def finish(self, skip_broken: bool) -> None:
        """Leave out what could not be read, if that is allowed, and write what is known of the rest."""
        if self._outcome.files != len(self._where.places):
            raise InvalidInput(str(self._root), "was changed while it was read; try again")
        targets = {part: np.asarray(of, np.int64) for part, of in self._where.targets.items()}
        if self._outcome.broken:
            self._check_broken(skip_broken)
            for part in targets:
                places = [self._where.places[name] for name in self._outcome.broken]
                rows = [row for its, row in places if its == part]
                targets[part] = np.delete(targets[part], rows)
                kept.without(self._into / kept.INPUTS[part], rows, self._shape)
                self._check_left(part, targets[part])
        kept.finish(self._into, self._where.classes, dict(targets), list(self._notes()))

    def _batches(self) -> Iterator[list[tuple[str, bytes]]]:
        batch: list[tuple[str, bytes]] = []
        with trees.files(self._root) as files:
            for file in files:
                if file.name not in self._where.places:
                    continue
                try:
                    batch.append((file.name, self._read(file)))
                except InvalidInput as error:
                    self._outcome.add(Outcome(1, {file.name: error.problem}))
                else:
                    if len(batch) == BATCH_FILES or sum(len(one) for _, one in batch) > BATCH_BYTES:
                        yield batch
                        batch = []
        yield batch

    def _read(self, file: trees.File) -> bytes:
        try:
            return file.read()
        except OSError as error:
            if not self._root.is_dir():  # what follows in a damaged archive is lost too
                raise
            raise InvalidInput(file.name, error.strerror or str(error)) from None

    def _decode(self, batch: list[tuple[str, bytes]]) -> Outcome:
        made = Outcome(len(batch))
        mode = "RGB" if len(self._shape) == 3 else "L"
        for name, data in batch:
            try:
                image = pixels.decode(data, MAX_PIXELS)
                array = pixels.to_signature(image, self._shape)
            except InvalidInput as error:
                made.broken[name] = error.problem
                continue
            part, row = self._where.places[name]
            self._rows[part].write(row, array)
            made.resized += _standing(image) != self._shape[:2]
            made.recoloured += image.mode != mode
        return made

    def _end(self, future: Future[Outcome], advance: Callable[[int], None]) -> None:
        made = future.result()
        self._outcome.add(made)
        advance(made.files)

    def _check_broken(self, skip_broken: bool) -> None:
        broken, total = self._outcome.broken, len(self._where.places)
        if not skip_broken:
            raise InvalidInput(
                str(self._root),
                f"{len(broken):,} of {total:,} images cannot be read: {_named(broken)}; "
                f"mend or remove them, or leave them out: data.skip_broken (--skip-broken)",
            )

    def _check_left(self, part: str, targets: NDArray[np.int64]) -> None:
        counts = np.bincount(targets, minlength=len(self._where.classes))
        if empty := [repr(self._where.classes[index]) for index in np.flatnonzero(counts == 0)]:
            raise InvalidInput(str(self._root), f"has no images in '{part}' of {_some(empty)} that can be read")

    def _notes(self) -> Iterator[str]:
        made, total = self._outcome, len(self._where.places)
        size, mode = "x".join(map(str, self._shape[:2])), "colour" if len(self._shape) == 3 else "grey"
        if made.resized:
            yield f"{made.resized:,} of {total:,} images were brought to {size} pixels, whatever their proportions"
        if made.recoloured:
            yield f"{made.recoloured:,} of {total:,} images were brought to 8-bit {mode}, transparency over black"
        if made.broken:
            yield f"{len(made.broken):,} of {total:,} images cannot be read and were left out: {_named(made.broken)}"


def _named(broken: Mapping[str, str]) -> str:
    return _some([f"{name} ({broken[name]})" for name in sorted(broken)])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
