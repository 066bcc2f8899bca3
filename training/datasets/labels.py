"""Infers from the values of a label column what is predicted: classes, two classes, several labels, or a quantity."""

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailorbird import classes as class_names
from tailorbird.errors import InvalidInput
from training.config import Kind

FEW_INTEGERS, MOST_CLASSES = 20, 1000
FLAGS = {"false": 0.0, "true": 1.0}
MARKS = {**FLAGS, "0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "no": 0.0, "yes": 1.0}
_CODE = re.compile(r"[+-]?0\d+$")
_WHOLE = re.compile(r"^(-?(?:0|[1-9]\d*))\.0+$")


class Cell(NamedTuple):
    """A value and its position: `line 3` of a CSV file, `row 2` of Parquet."""

    place: str
    column: str
    value: Any


def number(value: Any) -> float | None:
    """A value as a number; None if it is not one."""
    try:
        return None if "_" in str(value) else float(value)  # Python accepts 1_000 as a number
    except (TypeError, ValueError, OverflowError):
        return None


def kind(path: Path, label: Sequence[Cell]) -> tuple[Kind, str | None]:
    """The kind of a label by its values, with a note where that may surprise.

    Text and a few distinct whole numbers are classes, other numbers a quantity. Raises InvalidInput for a mix of text
    and numbers.
    """
    sizes = [size for cell in label if (size := _size(cell.value)) is not None]
    distinct = set(sizes)
    many = len(distinct) > FEW_INTEGERS
    if many and len(sizes) < len(label) < 2 * len(sizes):
        for cell in (cell for cell in label if number(cell.value) is None):
            raise InvalidInput(
                str(path),
                f"{cell.place} has {str(cell.value)[:40]!r} in column {cell.column!r}, which is not a number; fix it, "
                f"or set data.kind: multiclass if each value is a class",
            )
    if len(sizes) == len(label) and (many or not all(size.is_integer() for size in distinct)):
        return "regression", _doubt(label[0].column, len(distinct), len(label))
    return "binary" if len({_class(cell.value) for cell in label}) == 2 else "multiclass", None


def _doubt(column: str, distinct: int, rows: int) -> str | None:
    if distinct > min(MOST_CLASSES, rows // 2):
        return None
    return (
        f"column {column!r} has {distinct:,} different numbers and is treated as a quantity; if each is a class, set "
        f"data.kind: multiclass"
    )


def _size(value: Any) -> float | None:
    """A value as a number; None for text, which includes whole numbers with leading zeros."""
    return None if isinstance(value, bool) or _CODE.match(str(value)) else number(value)


def _class(value: Any) -> str:
    """The name of a class as it is written, without the fraction of a whole number that is stored as 1.0."""
    name = _WHOLE.sub(r"\1", format(value, "f") if isinstance(value, Decimal) else str(value))
    return "0" if name == "-0" else class_names.normal(name)


def classes(path: Path, label: Sequence[Cell], wanted: Kind | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the classes, numbers in numerical and text in alphabetical order, and the index of each row's class."""
    names = [_class(cell.value) for cell in label]
    names_in_order, column = sorted(set(names), key=class_names.order), label[0].column
    if wrong := next((name for name in names_in_order if class_names.problem(name)), None):
        cell = label[names.index(wrong)]
        raise InvalidInput(
            str(path),
            f"{cell.place} has {wrong[:40]!r} in column {column!r}, which is not a valid class name: it "
            f"{class_names.problem(wrong)}",
        )
    if len(names_in_order) < 2:
        raise InvalidInput(
            str(path), f"has only one class, {names_in_order[0]!r}, in column {column!r}; accepted: two or more"
        )
    if wanted == "binary" and len(names_in_order) > 2:
        raise InvalidInput("data.kind", f"is binary, but column {column!r} has {len(names_in_order)} classes")
    if len(names_in_order) > min(MOST_CLASSES, max(2, len(names) // 2)):
        raise InvalidInput(
            "data.label",
            f"{column!r} has {len(names_in_order):,} different values in {len(names):,} rows, too many for classes; "
            f"accepted: at most {MOST_CLASSES:,}, and two rows for each",
        )
    index = {name: index for index, name in enumerate(names_in_order)}
    return tuple(names_in_order), np.asarray([index[name] for name in names], np.int64)


def marks(path: Path, labels: Sequence[Sequence[Cell]]) -> NDArray[np.float32]:
    """Which of several labels each row has [N, labels]."""
    for cell in (cell for label in labels for cell in label if str(cell.value).lower() not in MARKS):
        raise InvalidInput(
            str(path),
            f"{cell.place} has {str(cell.value)[:40]!r} in column {cell.column!r}; "
            f"accepted of several labels: 0 or 1, true or false, yes or no",
        )
    return np.asarray([[MARKS[str(cell.value).lower()] for cell in label] for label in labels], np.float32).T.copy()
