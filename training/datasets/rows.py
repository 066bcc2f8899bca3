"""Rows of a table on a disk: a CSV or Parquet file, or a folder of the parts of one, read row by row.

Only the names of columns that are not requested are read.
"""

import csv
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from tailorbird import classes
from tailorbird.errors import InvalidInput, NotFound
from training.datasets import labels, parquet
from training.datasets.layout import BESIDE_TRAIN, CALLED, some

TEXT = ".txt"
CSV, PARQUET = (".csv", ".tsv", TEXT), (".parquet", ".pq")
SUFFIXES = CSV + PARQUET
SPLITS = {*CALLED, *BESIDE_TRAIN}
DELIMITERS = ",;\t"
_DELIMITER = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""A line above the header that tells spreadsheets the delimiter."""
MISSING = ("", "na", "n/a", "nan", "null", "<na>", "#n/a", "#na")
"""Missing values in CSV files, in lower case."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")

Read = Callable[[Sequence[int]], Iterator[tuple[str, Sequence[Any]]]]


@dataclass(frozen=True)
class Rows:
    """A table: the names of its columns, and a function that reads columns by position, row by row.

    With the values of a row comes its position in the file: `line 3` of CSV, `row 2` of Parquet. `index` are columns
    that number or name the rows, used only if they are requested; `unsure` are those that have pandas' name of an index
    and do neither. `others` are files beside the parts. If values are `typed`, text never stands for a missing number.
    """

    columns: tuple[str, ...]
    read: Read
    index: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    typed: bool = False

    def lacks(self, value: Any) -> bool:
        """Whether a value means that there is none."""
        if value is None or value == "" or value != value:
            return True
        return not self.typed and str(value).lower() in MISSING


def files(path: Path) -> list[Path]:
    """The files of a table: itself, or the parts in a folder, as Spark writes them; empty if there is no table.

    A .txt file beside parts with other suffixes is not a part.
    """
    if not path.is_dir():
        return [path] if path.suffix.lower() in SUFFIXES else []
    parts = sorted(part for part in _visible(path) if part.suffix.lower() in SUFFIXES)
    return [part for part in parts if part.suffix.lower() != TEXT] or parts


def is_table(path: Path) -> bool:
    """Whether a folder holds a table's files, and otherwise only hidden files and text."""
    parts = files(path)
    return bool(parts) and (path.is_file() or all(part.suffix.lower() in SUFFIXES for part in _visible(path)))


def _visible(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not any(step[0] in "._" for step in path.relative_to(folder).parts):
            yield path


def _check_parts(folder: Path, parts: Sequence[Path]) -> None:
    """Refuse a folder of splits, which would be read as one table."""
    names = sorted({part.relative_to(folder).parts[0] for part in parts})
    if len(names) > 1 and (apart := [name for name in names if Path(name).stem.lower() in SPLITS]):
        raise InvalidInput(
            str(folder),
            f"holds {some(list(map(repr, names)))}, and {apart[0]!r} is a split, not a part of a table; set data.path "
            f"to one of them: data.test and data.holdout are split from it",
        )


@contextmanager
def opened(path: Path) -> Iterator[Rows]:
    """The rows of a table; raises NotFound if there is none, InvalidInput if it cannot be read."""
    if not path.exists():
        raise NotFound(str(path), "there is no such file")
    parts = files(path)
    kinds = {part.suffix.lower() in PARQUET for part in parts}
    if len(kinds) != 1:
        wanted = f"a table whose name ends in {', '.join(SUFFIXES)}, or a folder of its parts"
        raise InvalidInput(str(path), f"holds CSV and Parquet; accepted: {wanted}" if kinds else f"must be {wanted}")
    others: tuple[str, ...] = ()
    if path.is_dir():
        _check_parts(path, parts)
        others = tuple(sorted(str(other.relative_to(path)) for other in {*_visible(path)} - {*parts}))
    try:
        if kinds == {True}:
            with parquet.opened(path, parts) as (columns, index, read):
                yield _numbered(Rows(tuple(map(classes.normal, columns)), read, index, others=others, typed=True))
        else:
            columns = _header(parts[0])
            if other := next((part for part in parts if _header(part) != columns), None):
                raise InvalidInput(str(other), f"has other columns than {parts[0].name}")
            index = tuple(name for name in columns if parquet.is_index(name))
            yield _numbered(Rows(columns, partial(_lines, parts, columns), index, others=others))
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror or error}") from None


def _numbered(table: Rows) -> Rows:
    """The table with only those of its `index` columns whose values carry no information."""
    index = tuple(name for name in table.index if _tells_nothing(table, name))
    return replace(table, index=index, unsure=tuple(name for name in table.index if name not in index))


def _tells_nothing(table: Rows, name: str) -> bool:
    """Whether a column is empty, numbers the rows, in any order, or names each."""
    try:
        values = [str(value) for _, (value,) in table.read([table.columns.index(name)])]
    except InvalidInput:  # usually dates, which a column may not hold
        return True
    if not any(values):  # from a delimiter at the end of each line
        return True
    if all(map(str.isdecimal, values)):
        return sorted(map(int, values)) in (list(range(len(values))), list(range(1, len(values) + 1)))
    return len({*values}) == len(values) and all(labels.number(value) is None for value in values)


def _lines(parts: Sequence[Path], columns: Sequence[str], places: Sequence[int]) -> Iterator[tuple[str, Sequence[str]]]:
    for path in parts:
        with _reading(path) as lines:
            next(lines)
            for row in lines:
                where = f"line {lines.line_num}" if len(parts) == 1 else f"{path.name}, line {lines.line_num}"
                if len(row) == len(columns):
                    yield where, [_text(path, where, columns[index], row[index]) for index in places]
                elif row:
                    raise InvalidInput(str(path), f"{where} has {len(row)} values for {len(columns)} columns")


def _text(path: Path, where: str, column: str, value: str) -> str:
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput(str(path), f"{where} has bytes in column {column!r} that are not UTF-8; save it as UTF-8")
    return value.strip()


def _header(path: Path) -> tuple[str, ...]:
    with _reading(path) as lines:
        names = tuple(map(classes.normal, next(lines, ())))
    if any("\0" in name for name in names):
        raise InvalidInput(str(path), "is no text in UTF-8; save it as CSV in UTF-8, or name it by what it is")
    if not any(names):
        raise InvalidInput(str(path), "must begin with a line of names, one for each column")
    return names


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """A reader of the lines of a CSV file.

    Bytes that are not UTF-8 become surrogates, reported only in columns that are used.
    """
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in UTF16 else "utf-8-sig"
    # for the whole process: a long text in a column that is not requested is no error
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as text:
        try:
            named = _DELIMITER.fullmatch(text.readline())
            lines = _reader(text, named[1] if named else _delimiter(text))
            if named:
                next(lines)
            yield lines
        except csv.Error as error:
            raise InvalidInput(str(path), f"is not CSV from line {lines.line_num} on: {error}") from None
        except UnicodeError as error:
            raise InvalidInput(str(path), f"is not complete {encoding.upper()} text: {error}") from None


def _reader(text: TextIO, delimiter: str) -> Any:
    text.seek(0)
    return csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)


def _delimiter(text: TextIO) -> str:
    """The delimiter that gives the header most columns, and the line below it as many; names may contain the others."""
    return max(DELIMITERS, key=lambda delimiter: _columns(text, delimiter))


def _columns(text: TextIO, delimiter: str) -> tuple[bool, int]:
    try:
        lines = _reader(text, delimiter)
        header, first = len(next(lines, ())), len(next(lines, ()))
    except (csv.Error, UnicodeError):
        return False, 0
    return 1 < header == first, header
