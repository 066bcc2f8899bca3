"""Thread pools by purpose, so that one that hangs does not block others: images are read while a database is down."""

import asyncio
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from tailorbird.errors import Unavailable

R = TypeVar("R")


class Pool:
    """Up to `most` threads, started on demand.

    They are daemons, unlike those of `ThreadPoolExecutor`: one that hangs in a database does not keep the process
    alive.
    """

    def __init__(self, name: str, most: int) -> None:
        self.most = most
        self._name = name
        self._threads = 0
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle: deque[None] = deque()

    def submit(self, function: Callable[[], R]) -> "Future[R]":
        """Belongs to one thread, or to callers that do not run at the same time."""
        future: Future[R] = Future()
        self._add(partial(_work, future, function))
        return future

    def start(self, function: Callable[[], R]) -> "asyncio.Future[R]":
        """The same with a future of the event loop; if that is done before its turn, the function is not run."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._add(partial(_work_for_loop, loop, future, function))
        return future

    async def run(self, function: Callable[[], R]) -> R:
        """Run the function in a thread of the pool; returns or raises as it does."""
        return await self.start(function)

    def within(self, seconds: float, function: Callable[[], R]) -> R:
        """The same for callers without an event loop; raises Unavailable if it takes too long."""
        future = self.submit(function)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()  # if it has not started
            raise Unavailable(f"there was no answer within {seconds:g} s") from None

    def _add(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        try:
            self._idle.pop()
        except IndexError:
            if self._threads < self.most:
                self._threads += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._jobs.get()()
            self._idle.append(None)


def _work(future: "Future[R]", function: Callable[[], R]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(function())
        except BaseException as error:  # as every executor does: the caller gets it
            future.set_exception(error)


def _work_for_loop(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[R]", function: Callable[[], R]) -> None:
    if future.done():
        return
    settle: Callable[[], None]
    try:
        settle = partial(future.set_result, function())
    except BaseException as error:
        settle = partial(future.set_exception, error)
    with suppress(RuntimeError):  # the loop is closed, and nobody waits
        loop.call_soon_threadsafe(_settle, future, settle)


def _settle(future: "asyncio.Future[Any]", settle: Callable[[], None]) -> None:
    if not future.done():
        settle()


class Pools:
    """The threads of one worker."""

    def __init__(self) -> None:
        self.decoding = Pool("decoding", len(os.sched_getaffinity(0)))
        self.inference = Pool("inference", 1)
        self.feedback = Pool("feedback", 1)
        self.registry = Pool("registry", 2)
        self.loading = Pool("loading", 1)
        self.fetching = Pool("fetching", 4)
        self.metrics = Pool("metrics", 1)
        self.challenger = Pool("challenger", 1)
        self.keeping = Pool("keeping", 1)
