"""The queue of the model's thread: bounded, and short under overload.

A burst may fill the queue. A queue that has not been empty for a while is a standing queue: more requests arrive than
can be answered, and a longer queue would not change that. A request is then accepted only if those ahead of it take no
longer than a few of its kind, or hardly any time. This lasts until there was no standing queue for a second, since
under overload a queue becomes empty by chance, and would fill up before it counts as standing again. So accepted
requests stay fast under overload, and the others are refused at once (the idea is CoDel's, RFC 8289).
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import TypeVar

from serving.pools import Pool
from serving.problems import Shed

R = TypeVar("R")
STANDING_SECONDS = 0.1
"""Seconds for which a queue that is never empty counts as a burst."""
MEMORY_SECONDS = 1.0
"""Seconds after a standing queue in which a new queue is limited at once."""
STANDING_LENGTH = 2
"""The requests of the same kind that may be ahead of one in a standing queue."""
SHORT_SECONDS = 0.005
"""A wait for which nobody is refused, so that a few clients with large requests do not shut out small ones."""


class Backlog:
    """Belongs to one event loop; `deadline` is the seconds that a request may take, waiting included."""

    def __init__(self, pool: Pool, most: int, deadline: float) -> None:
        self._pool = pool
        self._most = most
        self._deadline = deadline
        self._count = 0
        self._seconds = 0.0
        self._busy_since = 0.0
        self._stood = -math.inf

    @property
    def empty(self) -> bool:
        return self._count == 0

    async def run(self, seconds: float, function: Callable[[], R]) -> R:
        """The result of a function, run in the thread, that takes about so many seconds; raises Shed."""
        self._admit(seconds)
        self._count += 1
        self._seconds += seconds
        try:
            async with asyncio.timeout(self._deadline):
                return await self._pool.run(function)
        except TimeoutError:
            raise Shed("deadline", f"the answer was not ready within {self._deadline:g} s; try again later") from None
        finally:
            self._count -= 1
            self._seconds = self._seconds - seconds if self._count else 0.0

    def _admit(self, seconds: float) -> None:
        now = time.monotonic()
        if self._count == 0:
            self._busy_since = now
        if now - self._busy_since > STANDING_SECONDS:
            self._stood = now
        stands = now - self._stood < MEMORY_SECONDS
        if self._count > self._most or (stands and self._seconds > max(STANDING_LENGTH * seconds, SHORT_SECONDS)):
            raise Shed("queue", "the server is overloaded; try again later")
