"""Reads files and folders into batches for a model; unreadable inputs become failures with a reason."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tailorbird import images
from tailorbird.errors import InvalidInput, NotFound
from tailorbird.package.signature import Signature
from training.datasets import labels, rows, trees
from training.datasets.rows import Rows

IMAGES_AT_ONCE, ROWS_AT_ONCE = 32, 1024
BLOCK = 2**20


@dataclass(frozen=True)
class Failure:
    """A file, or a position in it, that cannot be read."""

    source: str
    problem: str


@dataclass(frozen=True)
class Batch:
    """Inputs [N, *shape], the file and, in a table, the row of each; and the failures among them."""

    files: Sequence[str]
    rows: Sequence[str]
    inputs: NDArray[Any]
    failures: Sequence[Failure] = ()

    @property
    def size(self) -> int:
        return len(self.files) + len(self.failures)


class Reader(Protocol):
    """Reads one batch; may be called from any thread."""

    def __call__(self) -> Batch: ...


@dataclass(frozen=True)
class Selection:
    """The files to predict for; `others` is the number of files of other kinds in the folders."""

    files: Sequence[Path]
    others: int


def select(paths: Sequence[Path], signature: Signature) -> Selection:
    """The named files, and all files of the model's kind in folders, sorted by name; hidden ones are left out."""
    suffixes = rows.SUFFIXES if signature.kind == "table" else images.SUFFIXES
    files: list[Path] = []
    others = 0
    for path in paths:
        if path.is_dir():
            visible = [file for file in sorted(path.rglob("*")) if file.is_file() and _is_visible(file, path)]
            chosen = [file for file in visible if file.suffix.lower() in suffixes]
            files += chosen
            others += len(visible) - len(chosen)
        elif path.exists():
            files.append(path)
        else:
            raise NotFound(str(path), "there is no such file or folder")
    if not files:
        folders = ", ".join(map(str, paths))
        raise InvalidInput("FILE|DIR", f"{folders} holds no file whose name ends in {', '.join(suffixes)}")
    return Selection(files, others)


def _is_visible(file: Path, folder: Path) -> bool:
    return not trees.hidden(file.relative_to(folder).as_posix())


def count(files: Sequence[Path], signature: Signature) -> int:
    """The approximate number of inputs, for a progress bar."""
    return sum(map(_rows, files)) if signature.kind == "table" else len(files)


def readers(files: Sequence[Path], signature: Signature, max_pixels: int) -> Iterator[Reader]:
    """Readers of all files in order, batch by batch."""
    if signature.kind == "table":
        for path in files:
            yield from _table_readers(path, signature)
    else:
        for chunk in _chunks(files, IMAGES_AT_ONCE):
            yield partial(_read_images, chunk, signature, max_pixels)


def _read_images(paths: Sequence[Path], signature: Signature, max_pixels: int) -> Batch:
    files, pixels, failures = [], [], []
    for path in paths:
        try:
            image = images.decode(path.read_bytes(), max_pixels)
            pixels.append(images.to_signature(image, signature.shape, signature.depth, signature.ground))
            files.append(str(path))
        except OSError as error:
            failures.append(Failure(str(path), f"cannot be read: {error.strerror}"))
        except InvalidInput as error:
            failures.append(Failure(str(path), error.problem))
    inputs = np.stack(pixels) if pixels else np.empty((0, *signature.shape), np.uint8)
    return Batch(files, [""] * len(files), inputs, failures)


def _table_readers(path: Path, signature: Signature) -> Iterator[Reader]:
    try:
        with rows.opened(path) as table:
            names = _columns(table, signature)
            for chunk in _chunks(table.read([table.columns.index(name) for name in names]), ROWS_AT_ONCE):
                yield partial(_read_rows, path, chunk, names)
    except InvalidInput as error:
        failure = Failure(error.field, error.problem)
        yield partial(Batch, [], [], np.empty((0, *signature.shape)), [failure])


def _columns(table: Rows, signature: Signature) -> Sequence[str]:
    """The columns of the model's inputs or, if it has no names, all columns in order."""
    names = signature.columns or table.columns
    if signature.columns is None and len(names) != signature.shape[0]:
        raise InvalidInput("columns", f"are {len(names)}; accepted: {signature.shape[0]}, as the model was trained on")
    if missing := [name for name in names if name not in table.columns]:
        raise InvalidInput("columns", f"have no {missing[0]!r}; they are {', '.join(table.columns)}")
    return names


def _read_rows(path: Path, chunk: Sequence[tuple[str, Sequence[Any]]], names: Sequence[str]) -> Batch:
    places, numbers, failures = [], [], []
    for position, values in chunk:
        try:
            numbers.append([_number(name, value) for name, value in zip(names, values, strict=True)])
            places.append(position)
        except InvalidInput as error:
            failures.append(Failure(f"{path}, {position}", str(error)))
    inputs = np.array(numbers, np.float64).reshape(-1, len(names))
    return Batch([str(path)] * len(places), places, inputs, failures)


def _number(column: str, value: Any) -> float:
    number = labels.FLAGS.get(str(value).lower(), labels.number(value))
    if number is None or not math.isfinite(number):
        raise InvalidInput(column, f"is {str(value)[:40]!r}, which is not a finite number")
    return number


def _rows(path: Path) -> int:
    try:
        if path.suffix.lower() in rows.PARQUET:
            from pyarrow import parquet

            return int(parquet.read_metadata(path).num_rows)
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(partial(file.read, BLOCK), b""))
    except Exception:  # of many kinds for damaged files, which reading will report
        return 0


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
