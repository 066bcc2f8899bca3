import threading

import numpy as np
import pytest

from registry import inputs, schema
from registry.core import Registry
from registry.inputs import Input
from serving import keeping
from serving.keeping import Keeper
from serving.pools import Pool
from tailorbird.errors import Unavailable
from tailorbird.settings import Settings


@pytest.fixture
def pool():
    return Pool("keeping", 1)


@pytest.fixture
def registry(tmp_path):
    with Registry(Settings(_env_file=None, home=tmp_path)) as registry:
        yield registry


def total(metrics, outcome):
    return metrics.registry.get_sample_value("tailorbird_inputs_total", {"outcome": outcome}) or 0


def test_keeps_examples_by_the_id_of_their_receipt(registry, metrics, pool, receipts):
    keeper = Keeper(lambda: registry, lambda: "demo", metrics, pool, most=10, days=1)
    texts = receipts.make(1, [0] * 3, [0] * 3)
    keeper.keep(1, np.arange(12, dtype=np.uint8).reshape(3, 2, 2), texts)
    pool.within(10, lambda: None)
    with registry.reading() as connection:
        rows = {row.receipt: row.example for row in connection.execute(schema.inputs.select())}
    assert rows == {receipts.read(text).id: bytes(range(4 * i, 4 * i + 4)) for i, text in enumerate(texts)}
    assert total(metrics, "kept") == 3


def test_drops_under_load_and_without_a_database(registry, metrics, pool, receipts, monkeypatch):
    keeper = Keeper(lambda: registry, lambda: "demo", metrics, pool, most=10, days=1)
    monkeypatch.setattr(keeping, "MOST_WAITING", 2)
    end = threading.Event()
    pool.submit(lambda: end.wait(30))
    for _ in range(3):
        keeper.keep(1, np.zeros((1, 2, 2), np.uint8), receipts.make(1, [0], [0]))
    assert total(metrics, "dropped") == 1

    def fail(*_):
        raise Unavailable("the database is away")

    monkeypatch.setattr(inputs, "keep", fail)
    end.set()
    pool.within(10, lambda: None)
    assert (total(metrics, "dropped"), total(metrics, "kept")) == (3, 0)


def test_is_wanted_where_something_is_to_be_kept(registry, metrics, pool):
    assert not Keeper(lambda: registry, lambda: "demo", metrics, pool, most=0, days=1).wanted
    assert Keeper(lambda: registry, lambda: "demo", metrics, pool, most=1, days=1).wanted


def test_deletes_what_was_kept_long_enough_also_where_nothing_comes(registry, metrics, pool):
    old, new = (Input(f"{number:032}", "demo", 1, b"") for number in range(2))
    for example in (old, new):
        inputs.keep(registry, [example], most=10, days=1)
    with registry.atomic() as connection:
        connection.execute(
            schema.inputs.update().filter_by(receipt=old.receipt).values(kept="2020-01-01T00:00:00.000000Z")
        )
    Keeper(lambda: registry, lambda: "demo", metrics, pool, most=0, days=1).expire()
    with registry.reading() as connection:
        assert [row.receipt for row in connection.execute(schema.inputs.select())] == [new.receipt]
