"""Grouped commits: while one transaction is written, the labels of other requests gather and go with the next."""

import asyncio
from collections import deque
from collections.abc import Sequence

from registry import feedback
from registry.core import Registry
from registry.feedback import Feedback, Outcome

ENOUGH_LABELS = 10_000
"""Where a group is closed: SQLite takes 32,766 values in one question."""


class Commits:
    """Writes labels of many requests in few transactions; belongs to one event loop."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._waiting: deque[tuple[Sequence[Feedback], asyncio.Future[list[Outcome]]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def record(self, labels: Sequence[Feedback]) -> list[Outcome]:
        """What became of each label, after its row is committed; raises Unavailable where it cannot be."""
        future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._waiting.append((labels, future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await future

    async def _write(self) -> None:
        while self._waiting:
            labels, futures = self._group()
            try:
                outcomes = iter(await asyncio.to_thread(feedback.record, self._registry, labels))
            except Exception as error:  # each of the requests must hear of it
                for _, future in futures:
                    if not future.done():
                        future.set_exception(error)
                continue
            for count, future in futures:
                mine = [next(outcomes) for _ in range(count)]
                if not future.done():  # done is what is cancelled: the client has left
                    future.set_result(mine)
        self._writing = None

    def _group(self) -> tuple[list[Feedback], list[tuple[int, asyncio.Future[list[Outcome]]]]]:
        together: list[Feedback] = []
        futures = []
        while self._waiting and len(together) < ENOUGH_LABELS:
            labels, future = self._waiting.popleft()
            together += labels
            futures.append((len(labels), future))
        return together, futures
