"""Stores the inputs of answered requests for some time, if the settings say so, for training once labels arrive."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from registry import inputs
from registry.core import Registry
from registry.inputs import Input
from serving import receipts
from serving.examples import Examples
from serving.metrics import Metrics
from serving.pools import Pool
from tailorbird.errors import TailorbirdError

logger = logging.getLogger(__name__)

MOST_WAITING = 1_000
"""The most examples that wait for the database; more are dropped."""
GROUP = 200
"""The most examples in one transaction."""
EXPIRE_SECONDS = 600
"""Seconds between deletions of expired examples."""


class Keeper:
    """Writes inputs of a model in a background thread; at most `most` of them, for `days`."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        model: Callable[[], str],
        metrics: Metrics,
        pool: Pool,
        *,
        most: int,
        days: float,
    ) -> None:
        self._registry = registry
        self._model = model
        self._metrics = metrics
        self._pool = pool
        self._most = most
        self._days = days
        self._waiting: deque[Input] = deque()

    @property
    def wanted(self) -> bool:
        """Whether inputs are kept."""
        return self._most > 0

    async def run(self) -> None:
        """Delete expired examples regularly, until cancelled: also if keeping was turned off."""
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            try:
                await self._pool.run(self.expire)
            except Exception as error:  # predictions continue whatever happens here
                logger.warning("inputs that were kept long enough are still there: %s", error)

    def expire(self) -> None:
        """Delete expired examples; raises as the registry does."""
        inputs.expire(self._registry(), self._model(), self._days)

    def keep(self, version: int, examples: Examples, texts: Sequence[str]) -> None:
        """Keep examples [N, …] by their N receipts, or drop them if too many wait."""
        if len(self._waiting) + len(texts) > MOST_WAITING:
            self._count("dropped", len(texts))
            return
        for text, example in zip(texts, examples, strict=True):
            self._waiting.append(Input(receipts.identify(text), self._model(), version, example.tobytes()))
        self._pool.submit(self._write)

    def _write(self) -> None:
        while group := list(islice(self._waiting, min(GROUP, self._most))):
            self._commit(group)
            for _ in group:
                self._waiting.popleft()

    def _commit(self, group: list[Input]) -> None:
        try:
            inputs.keep(self._registry(), group, self._most, self._days)
        except TailorbirdError as error:
            logger.error("%d inputs were not kept: %s", len(group), error)
            self._count("dropped", len(group))
        else:
            self._count("kept", len(group))

    def _count(self, outcome: str, examples: int) -> None:
        self._metrics.inputs.labels(outcome).inc(examples)
