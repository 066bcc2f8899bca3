"""Images of a tree on their way into the files of a data set: decoded in parallel, brought to one size and mode."""

from collections import deque
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
from training.datasets import kept, trees
from training.datasets.layout import Layout, some

MAX_PIXELS = 89_000_000
"""Of one image; over it Pillow warns of decompression bombs."""
BROKEN_NAMED = 50
TURNED = {5, 6, 7, 8}
BATCH_FILES, BATCH_BYTES = 64, 2**23

Shape = tuple[int, ...]


def standing(image: Image.Image) -> tuple[int, int]:
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
        workers = joblib.cpu_count()
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

    def finish(self, skip_broken: bool, notes: Sequence[str]) -> None:
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
        kept.finish(self._into, self._where.classes, dict(targets), [*notes, *self._notes()])

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
            made.resized += standing(image) != self._shape[:2]
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
                f"mend or remove them, or leave them out: --set data.skip_broken=true, or data --skip-broken",
            )

    def _check_left(self, part: str, targets: NDArray[np.int64]) -> None:
        counts = np.bincount(targets, minlength=len(self._where.classes))
        if empty := [repr(self._where.classes[index]) for index in np.flatnonzero(counts == 0)]:
            raise InvalidInput(str(self._root), f"has no images in '{part}' of {some(empty)} that can be read")

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
    return some([f"{name} ({broken[name]})" for name in sorted(broken)], BROKEN_NAMED)
