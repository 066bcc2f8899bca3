import asyncio
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from registry import schema
from registry.core import Registry
from registry.feedback import Feedback
from serving import commits
from serving.commits import Commits
from serving.pools import Pool
from tailorbird.errors import ReadOnly
from tailorbird.settings import Settings


class Slow(Registry):
    """A registry whose transactions take a while, and are counted."""

    transactions = 0

    @contextmanager
    def atomic(self, *locks):
        self.transactions += 1
        with super().atomic(*locks) as connection:
            yield connection
            time.sleep(0.05)


@pytest.fixture
def slow(tmp_path):
    with Slow(Settings(_env_file=None, home=tmp_path)) as registry:
        yield registry


def label(number, text="one"):
    return Feedback(f"{number:032}", "demo", 1, "one", "0.9", text, "2026-01-01T00:00:00.000000Z")


def kept(registry):
    with registry.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(schema.feedback))


def together(registry, *requests):
    async def main():
        written = Commits(registry, Pool("feedback", 1))
        return await asyncio.gather(*map(written.record, requests), return_exceptions=True)

    return asyncio.run(main())


def test_each_request_hears_of_its_own_labels(slow):
    assert together(slow, [label(1), label(2)], [label(1), label(1, "two")], [label(3)]) == [
        ["accepted", "accepted"],
        ["duplicate", "conflict"],
        ["accepted"],
    ]


def test_those_that_wait_go_together(slow):
    results = together(slow, *([label(number)] for number in range(100)))
    assert results == [["accepted"]] * 100
    assert kept(slow) == 100
    assert slow.transactions <= 2


def test_is_answered_after_the_commit(slow):
    async def main():
        assert await Commits(slow, Pool("feedback", 1)).record([label(1)]) == ["accepted"]
        assert kept(slow) == 1

    asyncio.run(main())


def test_one_after_another(slow):
    async def main():
        written = Commits(slow, Pool("feedback", 1))
        return [await written.record([label(number)]) for number in (1, 2, 1)]

    assert asyncio.run(main()) == [["accepted"], ["accepted"], ["duplicate"]]


def test_large_groups_are_divided(slow, monkeypatch):
    monkeypatch.setattr(commits, "ENOUGH_LABELS", 10)
    together(slow, *([label(10 * request + one) for one in range(6)] for request in range(6)))
    assert slow.transactions == 3
    assert kept(slow) == 36


def test_a_failure_is_heard_by_all_and_passes(slow):
    slow.database.read_only = True
    results = together(slow, [label(1)], [label(2)])
    assert [type(result) for result in results] == [ReadOnly, ReadOnly]
    slow.database.read_only = False
    assert together(slow, [label(1)]) == [["accepted"]]


def test_a_client_that_left_takes_nobody_along(slow):
    async def main():
        written = Commits(slow, Pool("feedback", 1))
        leaving, staying = (asyncio.create_task(written.record([label(number)])) for number in (1, 2))
        while not slow.transactions:
            await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == ["accepted"]

    asyncio.run(main())
    assert kept(slow) == 2
