import asyncio
import subprocess
import sys
import threading

import pytest

from serving.pools import Pool
from tailorbird.errors import Unavailable


def test_runs_in_threads_of_its_own():
    pool, both = Pool("two", 2), threading.Barrier(2)

    async def main():
        return await asyncio.gather(pool.run(both.wait), pool.run(both.wait))

    assert sorted(asyncio.run(main())) == [0, 1]
    assert pool.within(5, lambda: threading.current_thread().name) == "two"


def test_a_failure_is_the_callers():
    def fail():
        raise KeyError("x")

    pool = Pool("one", 1)
    with pytest.raises(KeyError):
        asyncio.run(pool.run(fail))
    assert pool.within(5, lambda: 1) == 1


def test_one_thread_does_one_thing_at_a_time():
    pool, going_on = Pool("one", 1), threading.Event()
    first, second = pool.submit(lambda: going_on.wait(5)), pool.submit(lambda: going_on.is_set())
    going_on.set()
    assert first.result(5)
    assert second.result(5)
    assert len([thread for thread in threading.enumerate() if thread.name == "one"]) <= 2


def test_what_takes_too_long_is_not_waited_for():
    pool, end = Pool("one", 1), threading.Event()
    pool.submit(lambda: end.wait(30))
    ran = []
    with pytest.raises(Unavailable, match=r"no answer within 0\.05 s"):
        pool.within(0.05, lambda: ran.append(1))
    end.set()
    assert pool.within(5, lambda: 1) == 1
    assert not ran


def test_what_hangs_does_not_keep_the_process():
    code = "from serving.pools import Pool; import time; Pool('hangs', 1).submit(lambda: time.sleep(600))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
