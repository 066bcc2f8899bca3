import pytest

from registry import feedback, inputs, schema
from registry.core import Registry
from registry.feedback import Feedback
from registry.inputs import Input


@pytest.fixture
def registry(settings):
    with Registry(settings) as registry:
        yield registry


def examples(*numbers, model="demo"):
    return [Input(f"{number:032}", model, 1, bytes([number])) for number in numbers]


def label(registry, number, text):
    feedback.record(registry, [Feedback(f"{number:032}", "demo", 1, "one", "0.9", text, schema.now())])


def kept(registry, model="demo"):
    with registry.reading() as connection:
        rows = connection.execute(schema.inputs.select().filter_by(model=model).order_by(schema.inputs.c.receipt))
        return [row.example[0] for row in rows]


def test_those_with_a_label_come_back(registry):
    inputs.keep(registry, examples(1, 2, 3), most=10, days=1)
    label(registry, 2, "two")
    (result,) = inputs.labelled(registry, "demo")
    assert (result.receipt, result.version, result.example, result.label) == (f"{2:032}", 1, b"\2", "two")
    assert list(inputs.labelled(registry, "other")) == []


def test_only_the_newest_are_kept(registry):
    for number in range(5):
        inputs.keep(registry, examples(number), most=3, days=1)
    inputs.keep(registry, examples(9, model="other"), most=3, days=1)
    assert kept(registry) == [2, 3, 4]
    assert kept(registry, "other") == [9]


def test_they_are_kept_for_a_while(registry):
    inputs.keep(registry, examples(1), most=10, days=1)
    with registry.atomic("inputs") as connection:
        connection.execute(schema.inputs.update().values(kept="2020-01-01T00:00:00.000000Z"))
    inputs.keep(registry, examples(2), most=10, days=1)
    assert kept(registry) == [2]


def test_they_expire_by_model(registry):
    inputs.keep(registry, examples(1, 2), most=10, days=1)
    inputs.keep(registry, examples(3, model="other"), most=10, days=1)
    with registry.atomic("inputs") as connection:
        old = schema.inputs.c.receipt != f"{2:032}"
        connection.execute(schema.inputs.update().where(old).values(kept="2020-01-01T00:00:00.000000Z"))
    inputs.expire(registry, "demo", days=1)
    assert (kept(registry), kept(registry, "other")) == ([2], [3])


def test_they_are_forgotten_by_model(registry):
    inputs.keep(registry, examples(1, 2), most=10, days=1)
    inputs.keep(registry, examples(3, model="other"), most=10, days=1)
    assert inputs.forget(registry, "demo") == 2
    assert (kept(registry), kept(registry, "other")) == ([], [3])
