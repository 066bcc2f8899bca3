"""Decoding the images of a tree into the files of a data set, in parallel, at one size and mode."""

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tailorbird import images as pixels
from tailorbird.errors import InvalidInput
from tailorbird.package.signature import DEPTH
from training.datasets import kept, repeats, trees
from training.datasets.layout import Layout, some

MAX_PIXELS = 89_000_000
"""The most pixels of an image; above this Pillow warns of decompression bombs."""
BROKEN_NAMED = 50
TURNED = {5, 6, 7, 8}
BATCH_FILES, BATCH_BYTES = 64, 2**23

Shape = tuple[int, ...]


def standing(image: Image.Image) -> tuple[int, int]:
    """Height and width of an image after its orientation tag is applied."""
    try:
        turned = image.getexif().get(0x0112) in TURNED
    except Exception:  # Pillow raises many kinds for damaged tags, which are then not applied
        turned = False
    return image.size if turned else image.size[::-1]


@dataclass(frozen=True)
class Wanted:
    """The form of all images of a set: `shape`, and the depth and background with which its files are read."""

    shape: Shape
    depth: int
    ground: int

    @property
    def kind(self) -> str:
        """The mode in words."""
        mode = "colour" if len(self.shape) == 3 else "grey"
        return f"8-bit {mode}" if self.depth == DEPTH else f"8-bit {mode} (of {self.depth} bits)"

    @property
    def over(self) -> str:
        return "white" if self.ground else "black"


@dataclass
class Outcome:
    """Counts of decoded, unreadable and converted images, with the reason for each unreadable one.

    `flat` counts, by class, those whose pixels all have one value; `ids` are the hashes of all by name.
    """

    files: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    resized: int = 0
    recoloured: int = 0
    flat: Counter[int] = field(default_factory=Counter)
    ids: dict[str, bytes] = field(default_factory=dict)

    def add(self, other: "Outcome") -> None:
        self.files += other.files
        self.broken |= other.broken
        self.resized += other.resized
        self.recoloured += other.recoloured
        self.flat += other.flat
        self.ids |= other.ids


class Decoding:
    """Decodes all images of a tree into the files of a data set."""

    def __init__(self, root: Path, into: Path, where: Layout, wanted: Wanted) -> None:
        self._root, self._into, self._where, self._wanted = root, into, where, wanted
        self._shape = wanted.shape
        self._rows: dict[str, kept.RowWriter] = {}
        self._outcome = Outcome()

    def run(self, advance: Callable[[int], None]) -> None:
        """Read the files in order and decode them in threads: Pillow holds no lock while it does."""
        workers = joblib.cpu_count()
        with ExitStack() as stack:
            for part, targets in self._where.targets.items():
                rows = kept.RowWriter(self._into / kept.INPUTS[part], len(targets), self._shape)
                self._rows[part] = stack.enter_context(closing(rows))
            pool = stack.enter_context(ThreadPoolExecutor(workers))
            under_way: deque[Future[Outcome]] = deque()
            for batch in self._batches():
                under_way.append(pool.submit(self._decode, batch))
                if len(under_way) > 2 * workers:
                    self._end(under_way.popleft(), advance)
            for future in under_way:
                self._end(future, advance)

    def finish(self, skip_broken: bool, notes: Sequence[str]) -> None:
        """Leave out images that could not be read, if that is allowed, and write the metadata of the rest."""
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
        self._check_flat()
        all_notes = [*self._where.notes, *notes, *self._notes()]
        kept.finish(self._into, self._where.classes, dict(targets), all_notes, self._wanted.depth, self._wanted.ground)

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
                    if len(batch) == BATCH_FILES or sum(len(data) for _, data in batch) > BATCH_BYTES:
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
        outcome = Outcome(len(batch))
        mode = "RGB" if len(self._shape) == 3 else "L"
        for name, data in batch:
            try:
                image = pixels.decode(data, MAX_PIXELS)
                array = pixels.to_signature(image, self._shape, self._wanted.depth, self._wanted.ground)
            except InvalidInput as error:
                outcome.broken[name] = error.problem
                continue
            part, row = self._where.places[name]
            self._rows[part].write(row, array)
            outcome.ids[name] = hashlib.blake2b(array.tobytes(), digest_size=repeats.ID_BYTES).digest()
            outcome.flat[self._where.targets[part][row]] += bool((array == array[:1, :1]).all())
            outcome.resized += standing(image) != self._shape[:2]
            outcome.recoloured += image.mode != mode
        return outcome

    def _end(self, future: Future[Outcome], advance: Callable[[int], None]) -> None:
        outcome = future.result()
        self._outcome.add(outcome)
        advance(outcome.files)

    def _check_broken(self, skip_broken: bool) -> None:
        broken, total = self._outcome.broken, len(self._where.places)
        if not skip_broken:
            raise InvalidInput(
                str(self._root),
                f"{len(broken):,} of {total:,} images cannot be read: {_named(broken)}; "
                f"fix, remove or skip them: --set data.skip_broken=true, or data --skip-broken",
            )

    def _check_left(self, part: str, targets: NDArray[np.int64]) -> None:
        counts = np.bincount(targets, minlength=len(self._where.classes))
        if empty := [repr(self._where.classes[index]) for index in np.flatnonzero(counts == 0)]:
            raise InvalidInput(str(self._root), f"has no readable images in '{part}' of {some(empty)}")

    def _check_flat(self) -> None:
        flat, total = self._outcome.flat.total(), len(self._outcome.ids)
        if 2 * flat > total and self._shape[:2] != (1, 1):
            raise InvalidInput(
                str(self._root),
                f"has {flat:,} of {total:,} images whose pixels are all equal, so nothing can be learnt from them; "
                f"values of more than 8 bits are read as of {self._wanted.depth}, and transparency is drawn over "
                f"{self._wanted.over}: check them, and save them in 8 bits without transparency",
            )

    def _notes(self) -> Iterator[str]:
        outcome, total = self._outcome, len(self._where.places)
        size = "x".join(map(str, self._shape[:2]))
        if outcome.resized:
            yield f"{outcome.resized:,} of {total:,} images were resized to {size} pixels, ignoring their proportions"
        if outcome.recoloured:
            kind = f"{self._wanted.kind}, transparency over {self._wanted.over}"
            yield f"{outcome.recoloured:,} of {total:,} images were converted to {kind}"
        if flat := [
            f"{self._where.classes[index]!r} {count:,}" for index, count in sorted(outcome.flat.items()) if count
        ]:
            yield f"{outcome.flat.total():,} of {total:,} images have only one pixel value: {some(flat)}"
        yield from self._repeated()
        if outcome.broken:
            names = _named(outcome.broken)
            yield f"{len(outcome.broken):,} of {total:,} images cannot be read and were skipped: {names}"

    def _repeated(self) -> Iterator[str]:
        names = sorted(self._outcome.ids)
        ids = np.frombuffer(b"".join(self._outcome.ids[name] for name in names), np.uint8)
        places = [self._where.places[name] for name in names]
        targets = np.asarray([self._where.targets[part][row] for part, row in places], np.int64)
        shown = list(map(trees.shown, names))
        yield from repeats.of_ids("images", shown, ids.reshape(-1, repeats.ID_BYTES), targets, self._where.classes)


def _named(broken: Mapping[str, str]) -> str:
    return some([f"{trees.shown(name)} ({broken[name]})" for name in sorted(broken)], BROKEN_NAMED)
