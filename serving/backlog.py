"""The queue of a pool's threads, such as the model's: bounded, and short under overload.

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
from functools import partial
from typing import Any, TypeVar

from serving.pools import Pool
from serving.problems import Shed

R = TypeVar("R")
STANDING_SECONDS = 0.1
"""Seconds for which a queue that is never empty counts as a burst."""
MEMORY_SECONDS = 1.0
"""Seconds after a standing queue in which a new queue is limited at once."""
STANDING_LENGTH = 3
"""The requests of the same kind that may be ahead of one in a standing queue, for each thread: four clients can ask
without pause."""
REFUSING_LENGTH = 2
"""The same for a second after a refusal, since more clients than that are asking."""
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
        self._refused = -math.inf

    @property
    def empty(self) -> bool:
        return self._count == 0

    def start(self, seconds: float, function: Callable[[], R], since: float | None = None) -> "asyncio.Future[R]":
        """The future result of `function`, run in a thread, where it takes about `seconds`; raises Shed.

        So does the future if it takes too long; `since` is when it was complete, by the loop's clock, if not now.
        """
        self._admit(seconds)
        future = self._pool.start(function)
        self._count += 1
        self._seconds += seconds
        loop = future.get_loop()
        begun = loop.time() if since is None else since
        timer = loop.call_at(begun + self._deadline, self._give_up, future)
        future.add_done_callback(partial(self._end, seconds, timer))
        return future

    def _give_up(self, future: "asyncio.Future[Any]") -> None:
        if not future.done():
            problem = f"the answer was not ready within {self._deadline:g} s; try again later"
            future.set_exception(Shed("deadline", problem))

    def _end(self, seconds: float, timer: asyncio.TimerHandle, _: "asyncio.Future[Any]") -> None:
        timer.cancel()
        self._count -= 1
        self._seconds = self._seconds - seconds if self._count else 0.0

    def _admit(self, seconds: float) -> None:
        now, threads = time.monotonic(), self._pool.most
        if self._count < threads:
            self._busy_since = now
            return
        if now - self._busy_since > STANDING_SECONDS:
            self._stood = now
        stands = now - self._stood < MEMORY_SECONDS
        length = REFUSING_LENGTH if now - self._refused < MEMORY_SECONDS else STANDING_LENGTH
        full = self._count >= self._most + threads
        if full or (stands and self._seconds / threads > max(length * seconds, SHORT_SECONDS)):
            self._refused = now
            raise Shed("queue", "the server is overloaded; try again later")
