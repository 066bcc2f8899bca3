"""The user's own tables: CSV or Parquet, with columns of numbers and one or several label columns."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailorbird import classes as class_names
from tailorbird.errors import InvalidInput
from training.config import DataConfig
from training.datasets import labels, repeats, rows
from training.datasets.dataset import LARGEST, Dataset
from training.datasets.labels import FLAGS, Cell
from training.datasets.layout import some
from training.datasets.merging import Merging
from training.datasets.rows import Rows

COUNTED = 20
"""From this number of rows on, a column that counts up is hardly a coincidence."""


@dataclass
class Columns:
    """The content of a table: numbers, row after row, the cells of each label, and the position of each row."""

    names: tuple[str, ...]
    numbers: "array[float]" = field(default_factory=lambda: array("d"))
    labels: list[list[Cell]] = field(default_factory=list)
    merging: Merging = field(default_factory=Merging)

    @property
    def inputs(self) -> NDArray[np.float64]:
        """The numbers [N, columns]."""
        return np.frombuffer(self.numbers, np.float64).reshape(-1, len(self.names))


def load(config: DataConfig, folder: Path) -> Dataset:
    """Read a table; `config.path` is absolute or below `folder`.

    Raises InvalidInput that names file, row and column of a value that should be a number.
    """
    path = config.located(folder)
    wanted = [config.label] if isinstance(config.label, str) else list(config.label or ())
    predicted = [class_names.normal(name) for name in wanted]
    with rows.opened(path) as table:
        columns = _chosen(table, predicted, config.columns)
        if wrong := next((name for name in (*predicted, *columns) if not _encodable(name)), None):
            raise InvalidInput(str(path), f"has a column {wrong!r}, whose name is not UTF-8; save it as UTF-8")
        cells = _read(path, table, columns, predicted)
    if not len(cells.inputs):
        raise InvalidInput(str(path), "has no rows below its header")
    notes = [*_left_out(table, (*columns, *predicted))]
    notes += [] if config.columns else [*_unsure(table, columns), *_numbering(cells)]
    dataset = _predicted(path, config, predicted, cells)
    own = (*notes, *cells.merging.notes(), *dataset.notes)
    if dataset.kind in ("multiclass", "binary"):
        places = [cell.place for cell in cells.labels[0]]
        own += tuple(repeats.contradictions("rows", places, dataset.inputs, dataset.targets, dataset.classes))
    return Dataset(path.stem, dataset.classes, dataset.inputs, dataset.targets, None, dataset.kind, columns, own)


def _left_out(table: Rows, asked: Sequence[str]) -> Iterator[str]:
    """Notes of what is not read: columns, and files beside the parts."""
    if index := [name or "without a name" for name in table.index if name not in asked]:
        yield f"columns that are empty, or number or name the rows, are not looked at: {', '.join(index)}"
    if table.others:
        yield f"files that are not parts of the table were ignored: {some(list(map(repr, table.others)))}"


def _unsure(table: Rows, columns: Sequence[str]) -> Iterator[str]:
    for name in table.unsure:
        if name in columns:
            yield (
                f"column {name!r} has pandas' name of an index and is used, since it neither numbers the rows nor "
                f"names each; if it is an index, list the other columns in data.columns"
            )


def _numbering(cells: Columns) -> Iterator[str]:
    """A note of each column that looks like a named index: in sorted rows it would give away the label."""
    for name, values in zip(cells.names, cells.inputs.T, strict=True):
        if len(values) >= COUNTED and (np.diff(values) == 1).all():
            yield f"column {name!r} numbers the rows; if it is an index, list the other columns in data.columns"


def _predicted(path: Path, config: DataConfig, predicted: Sequence[str], cells: Columns) -> Dataset:
    """The kind, the targets and the classes, from the cells of the labels."""
    if isinstance(config.label, list):
        if config.kind not in (None, "multilabel"):
            raise InvalidInput("data.kind", f"must be multilabel for a list of labels, not {config.kind}")
        names = tuple(class_names.checked("data.label", name) for name in predicted)
        return Dataset(path.stem, names, cells.inputs, labels.marks(path, cells.labels), None, "multilabel")
    if config.kind == "multilabel":
        raise InvalidInput("data.label", "must be a list of columns where data.kind is multilabel")
    [label] = cells.labels
    kind, note = (config.kind, None) if config.kind else labels.kind(path, label)
    notes = (note,) if note else ()
    if kind == "regression":
        values = np.asarray([_number(path, cell) for cell in label], np.float64)
        for cell, value in zip(label, values.tolist(), strict=True):
            cells.merging.add(cell, value)
        name = class_names.checked("data.label", predicted[0])
        if values.min() == values.max():
            raise InvalidInput(
                str(path), f"has one number only, {values[0]:g}, in column {label[0].column!r}; accepted: two or more"
            )
        return Dataset(path.stem, (name,), cells.inputs, values, None, kind, notes=notes)
    names, targets = labels.classes(path, label, config.kind)
    return Dataset(path.stem, names, cells.inputs, targets, None, kind, notes=notes)


def _chosen(table: Rows, predicted: Sequence[str], columns: Sequence[str] | None) -> tuple[str, ...]:
    rest = (name for name in table.columns if name not in (*predicted, *table.index))
    chosen = tuple(map(class_names.normal, columns)) if columns else tuple(rest)
    for key, names in (("data.label", predicted), ("data.columns", chosen)):
        if unknown := [name for name in names if name not in table.columns]:
            known = ", ".join(ascii(name)[1:-1] if not _encodable(name) else name for name in table.columns)
            raise InvalidInput(key, f"there is no column {unknown[0]!r}; the columns are {known}")
        if twice := [name for name in names if table.columns.count(name) > 1]:
            raise InvalidInput(key, f"the table has several columns {twice[0]!r}; name each differently")
        if twice := [name for name in names if names.count(name) > 1]:
            raise InvalidInput(key, f"names {twice[0]!r} more than once")
    if both := [name for name in chosen if name in predicted]:
        raise InvalidInput("data.columns", f"names {both[0]!r}, which is the label")
    if not chosen:
        raise InvalidInput("data.label", "leaves no input columns")
    return chosen


def _encodable(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _read(path: Path, table: Rows, columns: tuple[str, ...], predicted: Sequence[str]) -> Columns:
    """The numbers of the columns, and the cells of each label."""
    found = Columns(columns, labels=[[] for _ in predicted])
    flags: dict[str, bool] = {}
    for where, row in table.read([table.columns.index(name) for name in (*columns, *predicted)]):
        cells = [Cell(where, name, _present(path, table, Cell(where, name, value)))
                 for name, value in zip((*columns, *predicted), row, strict=True)]  # fmt: skip
        for cell in cells[: len(columns)]:
            found.numbers.append(_input(path, cell, flags))
            found.merging.add(cell, found.numbers[-1])
        for label, cell in zip(found.labels, cells[len(columns) :], strict=True):
            label.append(cell)
    return found


def _present(path: Path, table: Rows, cell: Cell) -> Any:
    if table.lacks(cell.value):
        text = f" ({cell.value!r}, a missing value in CSV files)" if cell.value else ""
        raise InvalidInput(
            str(path), f"{cell.place} has no value in column {cell.column!r}{text}; fill it in or remove the row"
        )
    return cell.value


def _input(path: Path, cell: Cell, flags: dict[str, bool]) -> float:
    """A number, or 0 and 1 of a column that holds false and true throughout."""
    flag = FLAGS.get(str(cell.value).lower())
    if flags.setdefault(cell.column, flag is not None) != (flag is not None):
        raise InvalidInput(
            str(path),
            f"{cell.place} has {str(cell.value)[:40]!r} in column {cell.column!r}, which holds numbers and true or "
            f"false; fix it, or list the columns to use in data.columns",
        )
    return _number(path, cell) if flag is None else flag


def _number(path: Path, cell: Cell) -> float:
    number = labels.number(cell.value)
    if number is None or not abs(number) <= LARGEST:
        beyond = number is not None and abs(number) > LARGEST
        raise InvalidInput(
            str(path),
            f"{cell.place} has {str(cell.value)[:40]!r} in column {cell.column!r}, which is "
            f"{f'beyond {LARGEST:.1e}' if beyond else 'not a number'}; fix it, or list the columns to use in "
            f"data.columns",
        )
    return number
