"""Grouped commits: while a transaction is written, the labels of other requests are collected for the next."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from registry import feedback
from registry.core import Registry
from registry.feedback import Feedback, Outcome
from serving.pools import Pool
from tailorbird.errors import Unavailable

ENOUGH_LABELS = 10_000
"""The largest group: SQLite accepts 32,766 values in a query."""
MOST_WAITING = 1_000
"""Requests whose labels wait for the database; more are refused."""
ANSWER_SECONDS = 10
"""Seconds that a request waits for the database; its labels may still be committed, and are then duplicates if resent.
"""


@dataclass(frozen=True, eq=False)
class Batch:
    """The labels of one request; `committed` is called with the outcome of each, even if nobody waits for it."""

    labels: Sequence[Feedback]
    committed: Callable[[list[Outcome]], None]
    outcomes: "asyncio.Future[list[Outcome]]"


class Commits:
    """Writes labels of many requests in few transactions; belongs to one event loop."""

    def __init__(self, registry: Registry, pool: Pool) -> None:
        self._registry = registry
        self._pool = pool
        self._waiting: deque[Batch] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def record(
        self, labels: Sequence[Feedback], committed: Callable[[list[Outcome]], None] = lambda _: None
    ) -> list[Outcome]:
        """The outcome of each label, after its row is committed; raises Unavailable if that fails or takes too long."""
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("too many labels wait for the database")
        batch = Batch(labels, committed, asyncio.get_running_loop().create_future())
        self._waiting.append(batch)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await batch.outcomes
        except TimeoutError:
            raise Unavailable(f"the database did not answer within {ANSWER_SECONDS} s") from None

    async def _write(self) -> None:
        while self._waiting:
            batches = self._group()
            labels = [label for batch in batches for label in batch.labels]
            try:
                outcomes = iter(await self._pool.run(lambda labels=labels: feedback.record(self._registry, labels)))  # type: ignore[misc]
            except Exception as error:  # every request must get the error
                for batch in batches:
                    if not batch.outcomes.done():
                        batch.outcomes.set_exception(error)
                continue
            for batch in batches:
                mine = [next(outcomes) for _ in batch.labels]
                batch.committed(mine)
                # a cancelled future is done: the client has left, or was asked to retry later
                if not batch.outcomes.done():
                    batch.outcomes.set_result(mine)
        self._writing = None

    def _group(self) -> list[Batch]:
        batches: list[Batch] = []
        count = 0
        while self._waiting and count < ENOUGH_LABELS:
            batches.append(self._waiting.popleft())
            count += len(batches[-1].labels)
        return batches
