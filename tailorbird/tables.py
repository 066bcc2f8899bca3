"""Tables for a terminal of any width, of which no value is cut: what is too wide is folded."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from tailorbird.terminal import UNBOUNDED


def show(console: Console, table: Table) -> None:
    """Print a table without cutting a value."""
    for column in table.columns:
        column.overflow = "fold"
    console.print(table)


def show_rows(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], *, apart: int, title: str | None = None
) -> None:
    """Print rows; where not all columns fit beside each other, those after the first `apart` become one."""
    table = _table(columns, rows, title)
    if len(columns) > apart + 1 and _width(console, table) > console.width:
        merged = [[*row[:apart], _merged(columns[apart:], row[apart:])] for row in rows]
        table = _table([*columns[:apart], "with"], merged, title)
    show(console, table)


def moment(text: str) -> str:
    """A time of the records, to the second, as tables show it."""
    return text[:19].replace("T", " ")


def plain(value: Any) -> str:
    """A value of a record in words: of keys with values those that say something, of lists each item."""
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


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None) -> Table:
    table = Table(*columns, title=title, box=box.SIMPLE)
    for row in rows:
        table.add_row(*row)
    return table


def _merged(names: Sequence[str], values: Sequence[str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(max_width=UNBOUNDED), table).maximum
