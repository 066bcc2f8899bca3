import sqlite3
from dataclasses import asdict, replace

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from registry import schema
from registry.core import Registry
from registry.feedback import Feedback, cells, marks, record
from tailorbird.errors import Unavailable
from tailorbird.settings import Settings

CAT = Feedback("r1", "fashion", 1, "cat", "0.9", label="cat", predicted_at="2026-01-02T03:04:05.000000Z")
DOG = replace(CAT, label="dog")


def rows(registry):
    with registry.reading() as connection:
        return [row._asdict() for row in connection.execute(sa.select(schema.feedback).order_by("receipt"))]


def test_a_label_is_kept_with_what_its_receipt_says_and_when_it_came(registry):
    before = schema.now()
    assert record(registry, [CAT]) == ["accepted"]
    [row] = rows(registry)
    assert before <= row.pop("received") <= schema.now()
    assert row == asdict(CAT)


def test_the_same_label_again_is_a_duplicate_and_another_one_a_conflict(registry):
    assert record(registry, [CAT]) == ["accepted"]
    assert record(registry, [CAT]) == ["duplicate"]
    assert record(registry, [DOG]) == ["conflict"]
    assert record(registry, [CAT]) == ["duplicate"]
    assert [row["label"] for row in rows(registry)] == ["cat"]


def test_within_one_batch_the_first_label_counts(registry):
    other = replace(DOG, receipt="r2")
    assert record(registry, [CAT, other, CAT, DOG, CAT]) == [
        "accepted",
        "accepted",
        "duplicate",
        "conflict",
        "duplicate",
    ]
    assert [(row["receipt"], row["label"]) for row in rows(registry)] == [("r1", "cat"), ("r2", "dog")]


def test_a_batch_of_what_is_known_and_new_adds_the_new(registry):
    record(registry, [CAT])
    assert record(registry, [DOG, replace(CAT, receipt="r2"), CAT]) == ["conflict", "accepted", "duplicate"]
    assert len(rows(registry)) == 2


def test_nothing_is_nothing(registry):
    assert record(registry, []) == [] and rows(registry) == []


@pytest.fixture
def usual_limit():
    """What SQLite allows by default; Debian's allows more."""

    def limit(connection, *_):
        if isinstance(connection, sqlite3.Connection):
            connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)

    sa.event.listen(sa.pool.Pool, "checkout", limit)
    yield
    sa.event.remove(sa.pool.Pool, "checkout", limit)


def test_a_batch_may_be_larger_than_what_one_statement_takes(registry, usual_limit):
    batch = [replace(CAT, receipt=f"{n}") for n in range(40_000)]
    assert record(registry, batch) == ["accepted"] * len(batch)
    assert record(registry, [*batch, DOG]) == ["duplicate"] * len(batch) + ["accepted"]


def test_a_batch_is_recorded_whole_or_not_at_all(registry):
    record(registry, [CAT])
    with pytest.raises(sa.exc.IntegrityError):
        record(registry, [replace(CAT, receipt="r2"), replace(CAT, receipt="r3", label=None)])
    assert len(rows(registry)) == 1


def test_a_registry_that_is_read_only_takes_no_labels(embedded, monkeypatch):
    with Registry(embedded) as registry:
        assert not registry.database.read_only  # which opens it, and makes it
    monkeypatch.setattr("registry.databases.sqlite.writable", lambda _: False)
    with Registry(embedded) as registry, pytest.raises(Unavailable, match="read-only"):
        record(registry, [CAT])


def test_of_many_processes_with_one_receipt_one_is_accepted(settings, race):
    Registry(settings).close()

    def send(n):
        with Registry(settings) as registry:
            return record(registry, [replace(CAT, label="cat" if n % 2 else "dog")])[0]

    came = race(send, 6)
    assert sorted(came) == ["accepted", *["conflict"] * 3, *["duplicate"] * 2]


def test_an_acknowledged_label_is_never_lost(settings, deaths):
    Registry(settings).close()

    def send(step):
        with Registry(settings) as registry:
            return record(registry, [replace(CAT, receipt=f"{step:03}")]) and f"{step:03}"

    def there(acknowledged):
        with Registry(settings) as registry:
            assert acknowledged is None or acknowledged in [row["receipt"] for row in rows(registry)]

    assert deaths(send, there) > 4


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Registry(Settings(home=tmp_path_factory.mktemp("feedback"), _env_file=None)) as registry:
        yield registry


@profile(max_examples=50)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["cat", "dog", "Cat "])), max_size=6), max_size=4
    )
)
def test_any_batches_are_judged_as_if_they_came_one_by_one(shared, batches):
    with shared.atomic() as connection:
        connection.execute(schema.feedback.delete())
    first = {}
    for batch in batches:
        expected = []
        for receipt, label in batch:
            known = first.setdefault(receipt, None)
            expected.append("accepted" if known is None else "duplicate" if known == label else "conflict")
            first[receipt] = known or label
        assert record(shared, [replace(CAT, receipt=receipt, label=label) for receipt, label in batch]) == expected
    assert {row["receipt"]: row["label"] for row in rows(shared)} == first


def test_labels_are_counted_by_class_and_bin_of_their_version(registry):
    wrong, other = replace(CAT, receipt="r2", label="dog"), replace(CAT, receipt="r3", version=2)
    low = replace(CAT, receipt="r4", confidence_bin="0.4")
    record(registry, [CAT, wrong, other, low])
    counted = {
        (cell.predicted, cell.confidence_bin): (cell.count, cell.correct) for cell in cells(registry, "fashion", 1)
    }
    assert counted == {("cat", "0.9"): (2, 1), ("cat", "0.4"): (1, 1)}
    assert cells(registry, "fashion", 1, since=schema.now()) == []
    assert cells(registry, "fashion", 3) == []


def test_labels_are_read_in_the_order_in_which_they_came(registry):
    for number, label in enumerate(("cat", "dog", "cat", "cat")):
        record(registry, [replace(CAT, receipt=f"r{9 - number}", label=label)])
    assert [mark.wrong for mark in marks(registry, "fashion", 1)] == [False, True, False, False]
    assert [mark.wrong for mark in marks(registry, "fashion", 1, limit=2)] == [False, False]
