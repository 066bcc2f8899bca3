import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from registry.names import Reference
from serving import model
from serving.predictions import INLINE_SECONDS, Predictor
from serving.receipts import Receipts
from tailorbird import bins


def images(shape, count):
    return np.random.default_rng(6).integers(0, 256, (count, *shape), np.uint8)


def test_answers(loaded, toy, receipts, metrics):
    pixels = images((28, 28), 50)
    answer = json.loads(Predictor(loaded, receipts, metrics).answer(pixels))
    assert (answer["model"], answer["version"], len(answer["predictions"])) == ("demo", 1, 50)
    for expected, found in zip(toy.probabilities(pixels), answer["predictions"], strict=True):
        winner = int(expected.argmax())
        assert (found["index"], found["label"]) == (winner, toy.classes[winner])
        assert found["confidence"] == found["probabilities"][found["label"]]
        assert list(found["probabilities"]) == list(toy.classes)
        np.testing.assert_allclose(list(found["probabilities"].values()), expected, atol=1e-5)
        receipt = receipts.read(found["receipt"])
        assert (receipt.version, receipt.class_index) == (1, winner)
        assert receipt.confidence_bin == bins.index(expected.max())


def test_a_binary_model_shows_both_classes(registry, settings, metrics):
    coin = model.load(registry, Reference.parse("coin"), settings.cache)
    predictor = Predictor(coin, Receipts(b"a key for tests", "coin", 30), metrics)
    for found in json.loads(predictor.answer(images((8, 6, 3), 20)))["predictions"]:
        assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert found["label"] == max(found["probabilities"], key=found["probabilities"].get)


def test_counts(loaded, receipts, metrics):
    predictor = Predictor(loaded, receipts, metrics)
    answer = json.loads(predictor.answer(images((28, 28), 30)))
    for found in answer["predictions"]:
        receipt = receipts.read(found["receipt"])
        labels = {
            "model": "demo",
            "version": "1",
            "predicted_class": found["label"],
            "confidence_bin": bins.LABELS[receipt.confidence_bin],
        }
        assert metrics.registry.get_sample_value("tailorbird_predictions_total", labels) >= 1
    text = metrics.render().decode()
    counts = [line for line in text.splitlines() if line.startswith("tailorbird_predictions_total{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in counts) == 30
    assert 'tailorbird_inference_duration_seconds_count{model="demo",version="1"} 1.0' in text


def test_an_edge_falls_into_the_bin_that_training_puts_it_in(loaded, receipts, metrics):
    row = np.zeros((1, 10), np.float32)
    row[0, 3] = 0.7  # as float32 a little less than 0.7
    certain = replace(loaded, session=SimpleNamespace(run=lambda _: row, seconds=0.001))
    (found,) = json.loads(Predictor(certain, receipts, metrics).answer(row))["predictions"]
    assert receipts.read(found["receipt"]).confidence_bin == bins.indices(row[0])[3] == bins.LABELS.index("0.6")


def test_how_many_may_hold_up_the_event_loop(loaded, receipts, metrics):
    slow = replace(loaded, session=SimpleNamespace(seconds=INLINE_SECONDS * 2))
    assert Predictor(slow, receipts, metrics).most_inline == 0
    quick = replace(loaded, session=SimpleNamespace(seconds=INLINE_SECONDS / 10))
    assert 9 <= Predictor(quick, receipts, metrics).most_inline <= 10
