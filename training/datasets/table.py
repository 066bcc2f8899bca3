"""Tables of the user's own: CSV or Parquet, with columns of numbers and one or several that are predicted."""

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailorbird.errors import InvalidInput, NotFound
from training.config import DataConfig, Kind
from training.datasets.dataset import Dataset

CSV, PARQUET = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
SUFFIXES = CSV + PARQUET
MISSING = ("", "na", "n/a", "nan", "null")
FEW_INTEGERS, MOST_CLASSES = 20, 1000
MARKS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}
_CODE = re.compile(r"[+-]?0\d+$")
_WHOLE = re.compile(r"^(-?(?:0|[1-9]\d*))\.0+$")
FLOAT32_MOST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Rows:
    """A table that is read row by row: its columns, and for each row where it stands in the file and its values."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[str, Sequence[Any]]]
    index: tuple[str, ...] = ()
    """Columns that number the rows; they are looked at only where they are asked for."""


class Cell(NamedTuple):
    """A value, and where it stands: `line 3` of a CSV file, `row 2` of Parquet."""

    place: str
    column: str
    value: Any


def load(config: DataConfig, folder: Path) -> Dataset:
    """Read a table; `config.path` is absolute or below `folder`.

    Raises InvalidInput that names file, row and column for what is no number where one is needed.
    """
    path = config.located(folder)
    if not path.is_file():
        raise NotFound(str(path), "there is no such file")
    labels = [config.label] if isinstance(config.label, str) else list(config.label or ())
    with opened(path) as table:
        columns = _chosen(table, labels, config.columns)
        inputs, found = _read(path, table, columns, labels)
    if not len(inputs):
        raise InvalidInput(str(path), "has no rows below its header")
    if isinstance(config.label, list):
        if config.kind not in (None, "multilabel"):
            raise InvalidInput("data.kind", f"must be multilabel for a list of labels, not {config.kind}")
        return Dataset(path.stem, tuple(labels), inputs, _marks(path, found), None, "multilabel", columns)
    kind = config.kind or _kind(path, found[0])
    if kind == "multilabel":
        raise InvalidInput("data.label", "must be a list of columns where data.kind is multilabel")
    if kind == "regression":
        values = np.asarray([_number(path, one) for one in found[0]], np.float64)
        return Dataset(path.stem, (labels[0],), inputs, values, None, kind, columns)
    classes, indices = _classes(path, found[0], config.kind)
    return Dataset(path.stem, classes, inputs, indices, None, kind, columns)


def _chosen(table: Rows, labels: Sequence[str], columns: Sequence[str] | None) -> tuple[str, ...]:
    chosen = tuple(columns or (name for name in table.columns if name not in (*labels, *table.index)))
    for key, names in (("data.label", labels), ("data.columns", chosen)):
        if unknown := [name for name in names if name not in table.columns]:
            raise InvalidInput(key, f"there is no column {unknown[0]!r}; the columns are {', '.join(table.columns)}")
        if twice := [name for name in names if names.count(name) > 1]:
            raise InvalidInput(key, f"names {twice[0]!r} more than once")
    if both := [name for name in chosen if name in labels]:
        raise InvalidInput("data.columns", f"names {both[0]!r}, which is the label")
    if not chosen:
        raise InvalidInput("data.label", "leaves no column to tell it by")
    return chosen


@contextmanager
def opened(path: Path) -> Iterator[Rows]:
    """A table that is read row by row; raises InvalidInput for what is none, also where its rows are read."""
    suffix = path.suffix.lower()
    try:
        if suffix in PARQUET:
            with _parquet(path) as table:
                yield table
        elif suffix in CSV:
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield _csv(path, file)
        else:
            raise InvalidInput(str(path), f"must be a table whose name ends in {', '.join(SUFFIXES)}")
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(str(path), f"is not UTF-8 text ({error.reason}); save it as UTF-8") from None
    except csv.Error as error:
        raise InvalidInput(str(path), f"is not CSV: {error}") from None


def _csv(path: Path, file: Any) -> Rows:
    first = file.readline()
    file.seek(0)
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    columns = tuple(name.strip() for name in next(reader, ()))
    if not all(columns) or len(set(columns)) < len(columns) or not columns:
        raise InvalidInput(str(path), f"must begin with a line of names, each different, not {first.strip()[:60]!r}")

    def rows() -> Iterator[tuple[str, Sequence[str]]]:
        for row in reader:
            if len(row) == len(columns):
                yield f"line {reader.line_num}", row
            elif row:
                raise InvalidInput(
                    str(path), f"line {reader.line_num} has {len(row)} values for {len(columns)} columns"
                )

    return Rows(columns, rows())


@contextmanager
def _parquet(path: Path) -> Iterator[Rows]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InvalidInput(str(path), "needs pyarrow to be read: pip install pyarrow, or save it as CSV") from None
    try:
        with parquet.ParquetFile(path) as file:
            columns = tuple(file.schema_arrow.names)
            # pandas writes the index of its rows as one more column, and says so
            index = tuple(map(str, (file.schema_arrow.pandas_metadata or {}).get("index_columns", ())))

            def rows() -> Iterator[tuple[str, Sequence[Any]]]:
                number = 0
                for batch in file.iter_batches():
                    for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                        number += 1
                        yield f"row {number}", row

            yield Rows(columns, rows(), index)
    except pyarrow.ArrowException as error:
        raise InvalidInput(str(path), f"is no whole Parquet file: {str(error).splitlines()[0]}") from None


def _read(
    path: Path, table: Rows, columns: Sequence[str], labels: Sequence[str]
) -> tuple[NDArray[np.float64], list[list[Cell]]]:
    """The numbers of the columns [N, columns], and the cells of each label."""
    where = [(table.columns.index(name), name) for name in columns]
    wanted = [(table.columns.index(name), name) for name in labels]
    numbers = array("d")
    found: list[list[Cell]] = [[] for _ in labels]
    for place, row in table.rows:
        numbers.extend([_number(path, Cell(place, name, row[at])) for at, name in where])
        for cells, (at, name) in zip(found, wanted, strict=True):
            cells.append(Cell(place, name, _present(path, Cell(place, name, row[at]))))
    return np.frombuffer(numbers, np.float64).reshape(-1, len(columns)), found


def _present(path: Path, cell: Cell) -> Any:
    value = cell.value.strip() if isinstance(cell.value, str) else cell.value
    if value is None or str(value).lower() in MISSING:
        raise InvalidInput(
            str(path), f"{cell.place} has no value in column {cell.column!r}; fill it in or take the row out"
        )
    return value


def _number(path: Path, cell: Cell, advice: str = "name the columns to look at in data.columns") -> float:
    value = _present(path, cell)
    number = _float(value)
    if number is None or not abs(number) <= FLOAT32_MOST:
        raise InvalidInput(
            str(path),
            f"{cell.place} has {str(value)[:40]!r} in column {cell.column!r}, which is no number; mend it, or {advice}",
        )
    return number


def _kind(path: Path, label: Sequence[Cell]) -> Kind:
    """What a label is by its values: text or few whole numbers are classes, other numbers a quantity."""
    numbers = [number for cell in label if (number := _as_number(cell.value)) is not None]
    distinct = set(numbers)
    many = len(distinct) > FEW_INTEGERS
    if many and len(numbers) < len(label) < 2 * len(numbers):
        for cell in label:
            _number(path, cell, "say data.kind: multiclass, where each value is a class")
    if len(numbers) == len(label) and (many or not all(number.is_integer() for number in distinct)):
        return "regression"
    return "binary" if len({_class(cell.value) for cell in label}) == 2 else "multiclass"


def _as_number(value: Any) -> float | None:
    """The size of a value; None for a word, which whole numbers with leading zeros are too."""
    return None if isinstance(value, bool) or _CODE.match(str(value)) else _float(value)


def _float(value: Any) -> float | None:
    try:
        return None if "_" in str(value) else float(value)  # Python takes 1_000 for a number
    except (TypeError, ValueError, OverflowError):
        return None


def _class(value: Any) -> str:
    """The name of a class: as it is written, but for the zeros of a whole number that was kept as a fraction."""
    name = _WHOLE.sub(r"\1", str(value))
    return "0" if name == "-0" else name


def _classes(path: Path, label: Sequence[Cell], kind: Kind | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the classes, numbers by size and text by the alphabet, and the index of each row's."""
    names = [_class(cell.value) for cell in label]
    classes = sorted(set(names), key=lambda name: (_as_number(name) is None, _as_number(name) or 0, name))
    column = label[0].column
    if len(classes) < 2:
        raise InvalidInput(
            str(path), f"has one class only, {classes[0]!r}, in column {column!r}; accepted: two or more"
        )
    if kind == "binary" and len(classes) > 2:
        raise InvalidInput("data.kind", f"is binary, and column {column!r} has {len(classes)} classes")
    if len(classes) > min(MOST_CLASSES, max(2, len(names) // 2)):
        raise InvalidInput(
            "data.label",
            f"{column!r} has {len(classes):,} different values in {len(names):,} rows, which are no classes; "
            f"accepted: at most {MOST_CLASSES:,}, and two rows for each",
        )
    index = {name: place for place, name in enumerate(classes)}
    return tuple(classes), np.asarray([index[name] for name in names], np.int64)


def _marks(path: Path, labels: Sequence[Sequence[Cell]]) -> NDArray[np.float32]:
    """Whether each row has each of several labels [N, labels]."""
    for cell in (cell for label in labels for cell in label if str(cell.value).lower() not in MARKS):
        raise InvalidInput(
            str(path),
            f"{cell.place} has {str(cell.value)[:40]!r} in column {cell.column!r}; "
            f"accepted of several labels: 0 or 1, true or false, yes or no",
        )
    return np.asarray([[MARKS[str(cell.value).lower()] for cell in label] for label in labels], np.float32).T.copy()
