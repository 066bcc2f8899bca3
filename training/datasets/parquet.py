"""Parquet as a table: one file, or a folder of parts, of which only the requested columns are decoded."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tailorbird.errors import InvalidInput

_INDEX = re.compile(r"(?:Unnamed: \d+)?|__index_level_\d+__")
"""Names that pandas gives an unnamed index; in CSV it is empty, or this after the file was read and written again."""

Read = Callable[[Sequence[int]], Iterator[tuple[str, Sequence[Any]]]]


def is_index(name: str) -> bool:
    """Whether a column has a name that pandas gives an unnamed index."""
    return _INDEX.fullmatch(name) is not None


@contextmanager
def opened(path: Path, parts: Sequence[Path]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], Read]]:
    """Names of the columns, those of pandas' index, and a function that reads some columns; `path` is for errors."""
    try:
        import pyarrow
        from pyarrow import dataset, parquet
    except ImportError:
        raise InvalidInput(str(path), "requires pyarrow: pip install pyarrow, or save it as CSV") from None
    folders = {"partitioning": "hive", "partition_base_dir": str(path)} if path.is_dir() else {}
    try:
        first = parquet.read_schema(parts[0])
        several = [name for name in first.names if first.names.count(name) > 1]  # Arrow does not read them
        once = pyarrow.schema([field for field in first if field.name not in several], first.metadata)
        table = dataset.dataset(list(map(str, parts)), once if several else None, "parquet", **folders)
        names = (*table.schema.names, *several)
        named = _named_index(path, table.schema)
        index = tuple(name for name in names if name in named or is_index(name))

        def read(places: Sequence[int]) -> Iterator[tuple[str, Sequence[Any]]]:
            number, wanted = 0, list(dict.fromkeys(names[index] for index in places))
            for name in wanted:
                _check_type(path, name, table.schema.field(name).type)
            for batch in table.to_batches(columns=wanted):
                values = {name: _values(path, name, batch.column(name)) for name in wanted}
                for row in zip(*(values[names[index]] for index in places), strict=True):
                    number += 1
                    yield f"row {number}", row

        yield names, index, read
    except pyarrow.ArrowException as error:
        raise InvalidInput(str(path), f"is not a complete Parquet file: {str(error).splitlines()[0]}") from None


def _named_index(path: Path, schema: Any) -> set[str]:
    """pandas writes the index of its rows as one more column, and says so."""
    try:
        return set(map(str, (schema.pandas_metadata or {}).get("index_columns", ())))
    except (ValueError, AttributeError, TypeError):
        raise InvalidInput(str(path), "has damaged metadata of pandas; write it again, or save it as CSV") from None


def _check_type(path: Path, name: str, kind: Any) -> None:
    from pyarrow import types

    plain = kind.value_type if types.is_dictionary(kind) else kind
    accepted = (
        types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, types.is_null,
        types.is_string, types.is_large_string, types.is_string_view, *_binary(),
    )  # fmt: skip
    if not any(test(plain) for test in accepted):
        raise InvalidInput(
            str(path),
            f"column {name!r} is of type {plain}; accepted: numbers, text, true and false; list the columns to use in "
            f"data.columns, or convert it",
        )


def _binary() -> tuple[Callable[[Any], bool], ...]:
    from pyarrow import types

    return (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)


def _values(path: Path, name: str, column: Any) -> list[Any]:
    """The values of a column, bytes decoded as text."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        values: list[Any] = column.to_pylist()
        if any(test(column.type) for test in _binary()):
            return [value if value is None else value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise InvalidInput(str(path), f"column {name!r} holds bytes that are not UTF-8 text ({error.reason})") from None
    return values
