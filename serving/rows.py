"""Conversion of a request's body to table rows, or an error that names the first invalid value."""

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving import bodies
from serving.problems import Problem
from tailorbird import classes

Rows = NDArray[np.float64]


def from_octets(body: bytes, width: int) -> Rows:
    """The rows [N, width] of N·width little-endian float64; raises Problem 422."""
    if not body or len(body) % (8 * width):
        raise Problem(
            422, f"the body has {len(body)} bytes; accepted: rows of {width} float64, so a multiple of {8 * width}"
        )
    rows = np.frombuffer(body, "<f8").reshape(-1, width)
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise Problem(422, f"inputs[{row}][{column}] is {rows[row, column]}; accepted: a number")
    return rows


def from_json(body: bytes, width: int, columns: Sequence[str] | None) -> Rows:
    """The rows [N, width] of `{"inputs": [row, …]}`, objects by column or arrays; raises Problem 400 or 422."""
    inputs = bodies.parse(body, "inputs")
    rows = [_row(row, f"inputs[{index}]", width, columns) for index, row in enumerate(inputs)]
    values = list(chain.from_iterable(rows))
    if set(map(type, values)) <= {int, float}:
        with suppress(OverflowError):
            numbers = np.array(values, np.float64).reshape(-1, width)
            if np.isfinite(numbers).all():
                return numbers
    index = next(index for index, value in enumerate(values) if not _is_number(value))
    row, column = divmod(index, width)
    name = f"inputs[{row}]" + (f".{columns[column]}" if columns and isinstance(inputs[row], dict) else f"[{column}]")
    raise Problem(422, f"{name} is {bodies.shown(values[index])}; accepted: a number")


def _row(row: Any, name: str, width: int, columns: Sequence[str] | None) -> list[Any]:
    """The values of one row in the order of the columns."""
    if isinstance(row, dict) and columns is not None:
        return _in_order(row, name, columns)
    if not isinstance(row, list) or len(row) != width:
        objects = " or an object with its columns" if columns is not None else ""
        raise Problem(422, f"{name} is {bodies.shown(row)}; accepted: a list of {width} numbers{objects}")
    return row


def _in_order(row: dict[str, Any], name: str, columns: Sequence[str]) -> list[Any]:
    try:
        values = [row[column] for column in columns]
    except KeyError:
        row = _normal(row, name)
        if missing := [column for column in columns if column not in row]:
            raise Problem(
                422, f"{name} has no column {bodies.shown(missing[0])}; accepted: {_listed(columns)}"
            ) from None
        values = [row[column] for column in columns]
    if len(row) > len(columns):
        unknown = next(key for key in row if key not in columns)
        raise Problem(422, f"{name} has an unknown column {bodies.shown(unknown)}; accepted: {_listed(columns)}")
    return values


def _normal(row: dict[str, Any], name: str) -> dict[str, Any]:
    """A row by the normal forms of its columns' names, as in training."""
    normal = {classes.normal(key): value for key, value in row.items()}
    if len(normal) < len(row):
        raise Problem(422, f"{name} has a column twice, in two forms of its name; accepted: each once")
    return normal


def _is_number(value: Any) -> bool:
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns[:20]) + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")
