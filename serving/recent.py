"""The last predictions of one version, in a ring buffer."""

import numpy as np
from numpy.typing import NDArray

from tailorbird.drift import transport

ROWS = transport.ANSWERS


class Recent:
    """The probabilities of the last answers; written by request threads, read by one other thread."""

    def __init__(self, classes: int) -> None:
        self._rows = np.zeros((ROWS, classes), np.float32)
        self._next = 0
        self._full = False

    def add(self, probabilities: NDArray[np.float32]) -> None:
        """Add rows [N, classes]; the oldest are overwritten."""
        rows = probabilities[-ROWS:]
        end = self._next + len(rows)
        if end <= ROWS:
            self._rows[self._next : end] = rows
        else:
            first = ROWS - self._next
            self._rows[self._next :] = rows[:first]
            self._rows[: end - ROWS] = rows[first:]
        self._full = self._full or end >= ROWS
        self._next = end % ROWS

    def rows(self) -> NDArray[np.float32]:
        """A copy of the rows [N, classes], in any order; a row that is being written may mix two answers."""
        return self._rows.copy() if self._full else self._rows[: self._next].copy()
