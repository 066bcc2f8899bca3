import asyncio
import threading

import pytest

from serving import backlog
from serving.backlog import Backlog
from serving.pools import Pool
from serving.problems import Shed


async def run(waiting, seconds, function):
    return await waiting.start(seconds, function)


def together(waiting, requests, seconds=1.0):
    """The outcomes of requests that come while the first one is worked at: what it returned, or why it was shed."""

    async def main():
        begin = threading.Event()
        tasks = [asyncio.create_task(run(waiting, seconds, begin.wait)) for _ in range(requests)]
        await asyncio.sleep(0)  # each of them waits, or was shed
        begin.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return [outcome if outcome is True else outcome.reason for outcome in asyncio.run(main())]


def test_a_burst_may_fill_the_queue():
    waiting = Backlog(Pool("inference", 1), most=5, deadline=5)
    assert together(waiting, 8) == [True] * 6 + ["queue"] * 2
    assert waiting.empty


def test_a_queue_that_stands_is_kept_short(monkeypatch):
    monkeypatch.setattr(backlog, "STANDING_SECONDS", -1)
    assert together(Backlog(Pool("inference", 1), most=64, deadline=5), 8) == [True] * 4 + ["queue"] * 4


def test_a_queue_that_has_run_empty_by_chance_is_still_kept_short(monkeypatch):
    waiting = Backlog(Pool("inference", 1), most=64, deadline=5)
    monkeypatch.setattr(backlog, "STANDING_SECONDS", -1)
    assert together(waiting, 4) == [True] * 4
    monkeypatch.setattr(backlog, "STANDING_SECONDS", 1000)
    assert together(waiting, 8) == [True] * 4 + ["queue"] * 4
    assert together(waiting, 8) == [True] * 3 + ["queue"] * 5  # fewer, while some are refused
    monkeypatch.setattr(backlog, "MEMORY_SECONDS", 0)
    assert together(waiting, 8) == [True] * 8


def test_small_ones_wait_behind_a_few_large_ones(monkeypatch):
    monkeypatch.setattr(backlog, "STANDING_SECONDS", -1)
    waiting = Backlog(Pool("inference", 1), most=64, deadline=5)

    async def main(large):
        begin = threading.Event()
        first = asyncio.create_task(run(waiting, large, begin.wait))
        await asyncio.sleep(0)
        small = asyncio.create_task(run(waiting, large / 1000, begin.wait))
        await asyncio.sleep(0)
        begin.set()
        return await asyncio.gather(first, small, return_exceptions=True)

    assert asyncio.run(main(backlog.SHORT_SECONDS)) == [True, True]
    assert isinstance(asyncio.run(main(2 * backlog.SHORT_SECONDS))[1], Shed)


def test_a_queue_of_two_threads(monkeypatch):
    waiting = Backlog(Pool("decoding", 2), most=5, deadline=5)
    assert together(waiting, 9) == [True] * 7 + ["queue"] * 2
    monkeypatch.setattr(backlog, "STANDING_SECONDS", -1)
    waiting = Backlog(Pool("decoding", 2), most=64, deadline=5)
    assert together(waiting, 9) == [True] * 7 + ["queue"] * 2
    assert together(waiting, 2) == [True] * 2  # each has a thread


def test_what_has_taken_too_long_before_it_came():
    waiting, end, ran = Backlog(Pool("inference", 1), most=5, deadline=30), threading.Event(), []

    async def main():
        begun = asyncio.get_running_loop().time()
        first = waiting.start(1, lambda: end.wait(30))
        with pytest.raises(Shed, match="not ready within 30 s"):
            await waiting.start(1, lambda: ran.append(1), since=begun - 30)
        end.set()
        await first
        await waiting.start(1, lambda: None)

    asyncio.run(main())
    assert not ran


def test_what_takes_too_long():
    waiting = Backlog(Pool("inference", 1), most=5, deadline=0.05)
    end = threading.Event()
    with pytest.raises(Shed, match=r"not ready within 0\.05 s") as caught:
        asyncio.run(run(waiting, 1, lambda: end.wait(30)))
    end.set()
    assert (caught.value.status, caught.value.reason) == (503, "deadline")
    assert waiting.empty
