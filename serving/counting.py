"""Counters and histograms that take a third of the time of prometheus_client's own, from which they derive.

With every increment those ask whether the process was forked, which a worker never is, whether labels are there, and
where in the file of the process the value lies. An answer takes five increments, a batch as many more as it has cells.
"""

import struct
import threading
from bisect import bisect_left
from typing import Any

import prometheus_client

_pack = struct.Struct("dd").pack
_lock = threading.Lock()


class Counter(prometheus_client.Counter):
    """Counts by `inc`."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._value = _quick(self._value)

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:  # noqa: ARG002 - as there
        self._value.inc(amount)


class Histogram(prometheus_client.Histogram):
    """Counts by `observe`."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._sum = _quick(self._sum)
        self._buckets = [_quick(value) for value in self._buckets]

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:  # noqa: ARG002 - as there
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)


class _Value:
    """A number in the file of the process, which other processes read too."""

    __slots__ = ("_file", "_place", "_value")

    def __init__(self, value: Any) -> None:
        self._file = value._file
        start = self._file._positions[value._key]
        self._place = slice(start, start + 16)
        self._value: float = value.get()

    def inc(self, amount: float) -> None:
        with _lock:
            self._value += amount
            self._file._m[self._place] = _pack(self._value, 0.0)  # its map is another one when the file has grown

    def get(self) -> float:
        return self._value

    def get_exemplar(self) -> None:
        """Files hold none."""


def _quick(value: Any) -> Any:
    """A value that lies in memory alone, where there is one process, is quick already."""
    return _Value(value) if value._multiprocess else value
