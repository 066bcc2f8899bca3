"""Outputs of predictions: a CSV or Parquet file, JSON records, or lines of text."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from tailorbird import files
from tailorbird.errors import InvalidInput, Unavailable
from tailorbird.package.signature import Signature


@dataclass(frozen=True)
class Answers:
    """Probabilities [N, classes] of inputs, with the file of each and, in a table, its row."""

    files: list[str]
    rows: list[str]
    labels: list[str]
    probabilities: NDArray[np.float32]

    @property
    def confidences(self) -> NDArray[np.float32]:
        confidences: NDArray[np.float32] = self.probabilities.max(axis=1)
        return confidences


class Output(Protocol):
    """Writes answers in order."""

    def write(self, answers: Answers) -> None: ...


class Lines:
    """One line per answer."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, answers: Answers) -> None:
        for file, row, label, confidence in zip(
            answers.files, answers.rows, answers.labels, answers.confidences, strict=True
        ):
            source = f"{file}, {row}" if row else file
            self._console.print(f"{source}: {label} ({confidence:.1%})", soft_wrap=True)


class Records:
    """Answers in the format of --json."""

    def __init__(self, signature: Signature) -> None:
        self._classes = signature.classes
        self.records: list[dict[str, Any]] = []

    def write(self, answers: Answers) -> None:
        for index, (file, row, label) in enumerate(zip(answers.files, answers.rows, answers.labels, strict=True)):
            values = [round(value, 6) for value in answers.probabilities[index].tolist()]
            where = {"row": row} if row else {}
            probabilities = dict(zip(self._classes, values, strict=True))
            self.records.append(
                {"file": file, **where, "label": label, "confidence": max(values), "probabilities": probabilities}
            )


class _Csv:
    def __init__(self, path: Path, signature: Signature) -> None:
        self._file = path.open("w", newline="", encoding="utf-8", errors="surrogateescape")
        self._writer = csv.writer(self._file)
        self._writer.writerow([*_columns(signature)])

    def write(self, answers: Answers) -> None:
        self._writer.writerows(
            [file, row, label, f"{confidence:.6f}", *(f"{value:.6f}" for value in values)]
            for file, row, label, confidence, values in zip(
                answers.files, answers.rows, answers.labels, answers.confidences, answers.probabilities, strict=True
            )
        )

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, signature: Signature) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise InvalidInput("--out", "needs pyarrow: pip install 'tailorbird[parquet]', or name a .csv") from None
        words, numbers = pyarrow.string(), pyarrow.float32()
        names = _columns(signature)
        self._schema = pyarrow.schema([(name, words if index < 3 else numbers) for index, name in enumerate(names)])
        self._table = pyarrow.table
        self._writer = parquet.ParquetWriter(path, self._schema)

    def write(self, answers: Answers) -> None:
        names = [file.encode(errors="backslashreplace").decode() for file in answers.files]
        columns = [names, answers.rows, answers.labels, answers.confidences, *answers.probabilities.T]
        self._writer.write_table(self._table(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


FILES: dict[str, type[_Csv] | type[_Parquet]] = {".csv": _Csv, ".parquet": _Parquet}


def check(path: Path) -> None:
    """Raise InvalidInput unless a file's name has the suffix of a format."""
    if path.suffix.lower() not in FILES:
        raise InvalidInput("--out", f"must end in {' or '.join(FILES)}, not {path.name!r}")


@contextmanager
def file(path: Path, signature: Signature) -> Iterator[Output]:
    """A file with the columns file, row, label, confidence and the probability of each class, which appears once it is
    complete. Raises Unavailable if it cannot be written.
    """
    try:
        with files.new_file(path) as hidden:
            output = FILES[path.suffix.lower()](hidden, signature)
            try:
                yield output
            finally:
                output.close()
            files.flush(hidden)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror or error}") from None


def _columns(signature: Signature) -> list[str]:
    return ["file", "row", "label", "confidence", *(f"probability_{name}" for name in signature.classes)]
