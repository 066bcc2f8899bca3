"""The last predictions of one version, in a ring buffer."""

import numpy as np
from numpy.typing import NDArray

from tailorbird.drift import transport

ROWS = transport.ANSWERS


class Recent:
    """The probabilities of the last answers; written by whoever answers, read by one thread beside."""

    def __init__(self, classes: int) -> None:
        self._rows = np.zeros((ROWS, classes), np.float32)
        self._next = 0
        self._full = False

    def add(self, probabilities: NDArray[np.float32]) -> None:
        """Keep the rows [N, classes], of more than there is room for the last."""
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
        """A copy of what there is [N, classes], in no order; a row that is being written may be of two answers."""
        return self._rows.copy() if self._full else self._rows[: self._next].copy()
