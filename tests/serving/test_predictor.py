import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from serving.predictor import INLINE_SECONDS, Predictor
from serving.problems import Problem
from serving.receipts import Receipts
from tailorbird import bins


def images(shape, count):
    return np.random.default_rng(6).integers(0, 256, (count, *shape), np.uint8)


def content(predictor, pixels):
    return json.loads(predictor.answer(pixels).body)


def test_answers(loaded, toy, receipts, metrics):
    pixels = images((28, 28), 50)
    answer = content(Predictor(loaded, receipts, metrics), pixels)
    assert (answer["model"], answer["version"], len(answer["predictions"])) == ("demo", 1, 50)
    for expected, prediction in zip(toy.probabilities(pixels), answer["predictions"], strict=True):
        winner = int(expected.argmax())
        assert (prediction["index"], prediction["label"]) == (winner, toy.classes[winner])
        assert prediction["confidence"] == prediction["probabilities"][prediction["label"]]
        assert list(prediction["probabilities"]) == list(toy.classes)
        np.testing.assert_allclose(list(prediction["probabilities"].values()), expected, atol=1e-5)
        receipt = receipts.read(prediction["receipt"])
        assert (receipt.version, receipt.class_index) == (1, winner)
        assert receipt.confidence_bin == bins.index(expected.max())


def test_a_binary_model_shows_both_classes(opened, metrics):
    predictor = Predictor(opened("coin"), Receipts([b"a key for tests"], "coin", 30), metrics)
    for prediction in content(predictor, images((8, 6, 3), 20))["predictions"]:
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert prediction["label"] == max(prediction["probabilities"], key=prediction["probabilities"].get)


def test_counts(loaded, receipts, metrics):
    predictor = Predictor(loaded, receipts, metrics)
    for prediction in content(predictor, images((28, 28), 30))["predictions"]:
        receipt = receipts.read(prediction["receipt"])
        labels = {
            "model": "demo",
            "version": "1",
            "predicted_class": prediction["label"],
            "confidence_bin": bins.LABELS[receipt.confidence_bin],
        }
        assert metrics.registry.get_sample_value("tailorbird_predictions_total", labels) >= 1
    text = metrics.render().decode()
    counts = [line for line in text.splitlines() if line.startswith("tailorbird_predictions_total{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in counts) == 30
    assert 'tailorbird_inference_duration_seconds_count{model="demo",version="1"} 1.0' in text


def answering(loaded, row, receipts, metrics) -> Predictor:
    session = SimpleNamespace(run=lambda _: row, estimate=lambda count: 0.0001 * count)
    return Predictor(replace(loaded, session=session), receipts, metrics)


def test_an_edge_falls_into_the_bin_that_training_puts_it_in(loaded, receipts, metrics):
    row = np.zeros((1, 10), np.float32)
    row[0, 3] = 0.7  # as float32 a little less than 0.7
    (prediction,) = content(answering(loaded, row, receipts, metrics), row)["predictions"]
    assert receipts.read(prediction["receipt"]).confidence_bin == bins.indices(row[0])[3] == bins.LABELS.index("0.6")


def test_what_is_not_a_number_is_no_answer(loaded, receipts, metrics):
    rows = np.full((2, 10), np.nan, np.float32)
    rows[0] = 0.1
    with pytest.raises(Problem, match=r"inputs\[1\] is beyond the range of the model") as caught:
        answering(loaded, rows, receipts, metrics).answer(rows)
    assert caught.value.status == 422
    assert "predictions_total{" not in metrics.render().decode()


@pytest.mark.parametrize(("one", "more", "most"), [(2, 1, 0), (0.5, 0.1, 6), (0.1, 0, 900_000), (1, 1, 1)])
def test_how_many_may_hold_up_the_event_loop(loaded, receipts, metrics, one, more, most):
    session = SimpleNamespace(estimate=lambda count: INLINE_SECONDS * (one + (count - 1) * more))
    assert Predictor(replace(loaded, session=session), receipts, metrics).most_inline == most
