import asyncio
import json

import pytest
import sqlalchemy as sa

from registry import schema
from serving import feedback
from serving.feedback import Labels
from serving.problems import Problem
from tailorbird.errors import Unavailable


@pytest.fixture
def take(registry, loaded, receipts, metrics, pools):
    def run(*labels):
        taking = Labels(registry, "demo", receipts, metrics, pools)
        taking.know(1, loaded.signature.classes)
        return asyncio.run(taking.take(labels))

    return run


def total(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"tailorbird_{name}_total", labels) or 0


def counts(accepted=0, duplicate=0, conflict=0, rejected=0):
    return {"accepted": accepted, "duplicate": duplicate, "conflict": conflict, "rejected": rejected}


def test_a_label_is_kept_and_counted(take, receipts, metrics, registry):
    (text,) = receipts.make(1, [2], [11])
    assert take((text, "two")) == counts(accepted=1) | {"reasons": []}
    with registry.reading() as connection:
        row = connection.execute(sa.select(schema.feedback).filter_by(receipt=receipts.read(text).id)).one()
    assert (row.model, row.version, row.predicted, row.confidence_bin, row.label) == ("demo", 1, "two", "0.999", "two")
    assert row.predicted_at <= row.received
    labels = {"model": "demo", "version": "1", "predicted_class": "two", "confidence_bin": "0.999"}
    assert total(metrics, "feedback", outcome="correct", **labels) == 1
    take((receipts.make(1, [2], [11])[0], "three"))
    assert total(metrics, "feedback", outcome="incorrect", **labels) == 1


def test_again_and_otherwise(take, receipts, metrics):
    (text,) = receipts.make(1, [2], [0])
    result = take((text, "two"), (text, "two"), (text, "three"))
    assert result == counts(accepted=1, duplicate=1, conflict=1) | {"reasons": []}
    assert take((text, " two\u00a0")) == counts(duplicate=1) | {"reasons": []}  # the same name in another form
    assert total(metrics, "feedback_rejected", reason="duplicate") == 2
    assert total(metrics, "feedback_rejected", reason="conflict") == 1
    labels = {"model": "demo", "version": "1", "predicted_class": "two", "confidence_bin": "0"}
    assert total(metrics, "feedback", outcome="correct", **labels) == 1


def test_bad_ones_are_rejected_one_by_one(take, receipts, metrics):
    result = take(("forged", "two"), (receipts.make(1, [2], [3])[0], "two"), (receipts.make(1, [2], [3])[0], "TWO"))
    assert {key: result[key] for key in counts()} == counts(accepted=1, rejected=2)
    assert [(one["index"], one["reason"]) for one in result["reasons"]] == [(0, "malformed"), (2, "label")]
    assert result["reasons"][1]["detail"] == "'TWO' is not a class of demo:1"
    for reason in ("malformed", "label"):
        assert total(metrics, "feedback_rejected", reason=reason) == 1


def test_the_classes_are_those_of_the_version_that_predicted(take, receipts, metrics):
    result = take(
        (receipts.make(2, [2], [0])[0], "TWO"),
        (receipts.make(2, [2], [0])[0], "two"),
        (receipts.make(99, [2], [0])[0], "two"),
    )
    assert {key: result[key] for key in counts()} == counts(accepted=1, rejected=2)
    assert [one["reason"] for one in result["reasons"]] == ["label", "version"]
    labels = {"model": "demo", "version": "2", "predicted_class": "TWO", "confidence_bin": "0"}
    assert total(metrics, "feedback", outcome="correct", **labels) == 1


def test_nothing_is_counted_that_is_not_kept(take, receipts, metrics, registry, monkeypatch):
    monkeypatch.setattr(registry.database, "read_only", True)
    with pytest.raises(Unavailable):
        take((receipts.make(1, [2], [3])[0], "two"), ("forged", "two"))
    assert "tailorbird_feedback_total{" not in metrics.render().decode()
    assert "tailorbird_feedback_rejected_total{" not in metrics.render().decode()


def body(labels) -> bytes:
    return json.dumps({"labels": labels}).encode()


def test_parse():
    for count in (1, 1000):  # the least and the most
        assert feedback.parse(body([{"receipt": "r", "label": "l"}] * count)) == [("r", "l")] * count


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "labels is an empty list"),
        (["r"], "labels[0] is 'r'; accepted: an object with receipt and label"),
        ([{"receipt": "r"}], "labels[0] has no label"),
        ([{"receipt": "r", "label": "l", "why": 1}], "labels[0] has an unknown key 'why'"),
        ([{"receipt": "r", "label": "l"}, {"receipt": "r", "label": 7}], "labels[1].label is 7; accepted: a string"),
        ([{"receipt": None, "label": "l"}], "labels[0].receipt is null; accepted: a string"),
        ([{"receipt": "r", "label": "l"}] * 1001, "labels is a list of 1001; accepted: 1000 in one request"),
    ],
)
def test_what_is_no_feedback(labels, message):
    with pytest.raises(Problem) as caught:
        feedback.parse(body(labels))
    assert caught.value.status == 422
    assert caught.value.detail.startswith(message)
