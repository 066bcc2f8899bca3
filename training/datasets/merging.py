"""Numbers of a table that differ as written and become equal in float64."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from training.datasets.labels import Cell

SAFE = 15
"""Decimal digits that float64 always keeps: DBL_DIG of C."""
REMEMBERED = 2**18
"""The most numbers with more digits to remember, in all columns together."""


class Merging:
    """Counts, by column, the numbers that become equal to another number of the column in float64."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, float], Decimal] = {}
        self._counts: Counter[str] = Counter()

    def add(self, cell: Cell, number: float) -> None:
        """Add a cell and the number that it became."""
        if isinstance(cell.value, float) or len(text := str(cell.value)) <= SAFE:
            return
        key, exact = (cell.column, number), Decimal(text)
        if len(self._written) < REMEMBERED:
            self._written.setdefault(key, exact)
        self._counts[cell.column] += self._written.get(key, exact) != exact

    def notes(self) -> Iterator[str]:
        """A note for each column that has such numbers."""
        for name, count in self._counts.items():
            if count:
                yield (
                    f"column {name!r}: {count:,} different numbers become equal in float64; subtract a common offset "
                    f"before saving them"
                )
