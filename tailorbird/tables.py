"""Tables for terminals of any width: values that are too wide are folded, never cut; numbers are aligned right."""

import re
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tailorbird.terminal import UNBOUNDED

NUMBER = re.compile(r"[-+]?\d[\d,.]*(e[-+]\d+)?(/\d+| ?%| ms| points)?")
NONE = ("", "-")


def show(console: Console, table: Table) -> None:
    """Print a table without cutting a value."""
    console.print(_uncut(table))


def show_rows(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], *, apart: int, title: str | None = None
) -> None:
    """Print the table of `fitting`."""
    show(console, fitting(console, columns, rows, apart=apart, title=title))


def fitting(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    *,
    apart: int,
    title: str | None = None,
    lines: box.Box | None = box.SIMPLE,
) -> Table:
    """A table of rows; if it is wider than the console, the columns after the first `apart` are merged into one."""
    table = _table(columns, rows, title, lines)
    if len(columns) > apart + 1 and _width(console, table) > console.width:
        merged = [[*row[:apart], _merged(columns[apart:], row[apart:])] for row in rows]
        table = _table([*columns[:apart], "with"], merged, title, lines)
    return _uncut(table)


def moment(text: str) -> str:
    """A time from the records, to the second."""
    return text[:19].replace("T", " ")


def plain(value: Any) -> str:
    """A value of a record in words: keys that have a value, and items of lists."""
    if isinstance(value, dict):
        return (
            ", ".join(f"{key} {plain(item)}" for key, item in value.items() if item is not None and item is not False)
            or "-"
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str | Text]], title: str | None, lines: box.Box | None
) -> Table:
    table = Table(*columns, title=title, box=lines)
    for row in rows:
        table.add_row(*row)
    return table


def _uncut(table: Table) -> Table:
    for column in table.columns:
        column.overflow = "fold"
        values = [text for text in map(str, column.cells) if text not in NONE]
        if values and all(map(NUMBER.fullmatch, values)):
            column.justify = "right"
    return table


def _merged(names: Sequence[str], values: Sequence[str | Text]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(max_width=UNBOUNDED), table).maximum
