import re
import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from registry.core import Registry
from serving import challenger
from serving.challenger import Answered, Shadow
from serving.feedback import Judged
from serving.pools import Pool
from serving.predictor import Predictor
from tailorbird import kept
from tailorbird.settings import Settings
from tests.waiting import wait_for

EXAMPLES = np.random.default_rng(3).integers(0, 256, (20, 28, 28), np.uint8)
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def pool():
    return Pool("challenger", 1)


@pytest.fixture
def shadow(metrics, pool, opened, receipts):
    """Of demo:1 by demo:2, whose weights are others."""
    shadow = Shadow(metrics, pool)
    shadow.predictor = Predictor(opened("demo:2"), receipts, metrics)
    return shadow


@pytest.fixture
def answered(loaded, receipts, metrics):
    predicted = Predictor(loaded, receipts, metrics).answer(EXAMPLES)
    return Answered(loaded.version, EXAMPLES, predicted.labels, predicted.receipts)


def agreement(metrics, outcome):
    labels = {"model": "demo", "version": "1", "challenger": "2", "outcome": outcome}
    return metrics.registry.get_sample_value("tailorbird_challenger_agreement_total", labels) or 0


def test_counts_whether_it_agrees(shadow, answered, metrics, pool, toy):
    shadow.follow(answered)
    pool.within(10, lambda: None)
    others = toy.make(seed=1).probabilities(EXAMPLES).argmax(axis=1)
    agreed = (others == answered.labels.classes).sum()
    assert (agreement(metrics, "agree"), agreement(metrics, "differ")) == (agreed, 20 - agreed)
    inference = {"model": "demo", "version": "2"}
    assert metrics.registry.get_sample_value("tailorbird_inference_duration_seconds_count", inference) == 1
    assert metrics.registry.get_sample_value("tailorbird_predictions_total", inference) is None


def test_drops_what_it_cannot_bear(shadow, answered, metrics, pool, monkeypatch):
    end = threading.Event()
    pool.submit(lambda: end.wait(30))
    for _ in range(challenger.MOST_WAITING + 2):
        shadow.follow(answered)
    assert agreement(metrics, "dropped") == 40
    end.set()
    pool.within(30, lambda: None)
    assert agreement(metrics, "agree") + agreement(metrics, "differ") == 20 * challenger.MOST_WAITING
    shadow.follow(answered)
    pool.within(10, lambda: None)
    assert agreement(metrics, "dropped") == 40


def test_a_failure_is_counted_and_nothing_else(shadow, answered, metrics, pool):
    def fail(_):
        raise RuntimeError("no memory")

    model = replace(shadow.predictor.model, session=SimpleNamespace(run=fail))
    shadow.predictor.model = model
    shadow.follow(answered)
    pool.within(10, lambda: None)
    assert agreement(metrics, "failed") == 20


def test_without_a_challenger_nothing_happens(metrics, pool, answered):
    Shadow(metrics, pool).follow(answered)
    assert "challenger_agreement_total{" not in metrics.render().decode()


def test_its_accuracy_is_counted_by_labels(shadow, answered, metrics, pool, receipts, loaded):
    shadow.follow(answered)
    pool.within(10, lambda: None)
    (answer,) = shadow.predictor.label(EXAMPLES[:1]).classes
    classes = loaded.signature.classes
    judged = Judged(receipts.read(answered.receipts[0]), classes[answer], classes)
    for _ in range(2):  # counted once: it is forgotten then
        shadow.score(judged)
    text = [line for line in metrics.render().decode().splitlines() if line.startswith("tailorbird_feedback_total{")]
    assert len(text) == 1
    assert 'outcome="correct"' in text[0]
    assert 'version="2"' in text[0]
    assert text[0].endswith(" 1.0")


def test_workers_follow_and_keep_what_they_answered(tmp_path, start, register, toy):
    """Which is then a data set of the labels that came back."""
    own = Settings(_env_file=None, home=tmp_path / "home")
    register(own, "demo", toy.files())
    register(own, "demo", toy.make(seed=5).files(), alias="challenger")
    server = start(own, workers=2, TAILORBIRD_KEEP_INPUTS="5").wait()

    def counts(name) -> Counter:
        text = server.client.get("/metrics").text
        lines = re.findall(rf'^tailorbird_{name}{{.*outcome="(\w+)".*}} (\S+)$', text, re.M)
        return Counter({outcome: int(float(count)) for outcome, count in lines if float(count)})

    def follows() -> bool:
        """A worker shadows only what it answers after it has heard of the challenger."""
        server.client.post("/predict", content=EXAMPLES.tobytes(), headers=OCTETS)
        return counts("challenger_agreement_total").total() > 0

    wait_for(follows)
    before = counts("inputs_total").total()
    predictions = server.client.post("/predict", content=EXAMPLES.tobytes(), headers=OCTETS).json()["predictions"]
    wait_for(lambda: counts("inputs_total").total() >= before + len(EXAMPLES))
    agreement = counts("challenger_agreement_total")
    assert agreement["agree"] and agreement["differ"] and not agreement["failed"]
    labels = [{"receipt": prediction["receipt"], "label": "seven"} for prediction in predictions]
    assert server.client.post("/feedback", json={"labels": labels}).json()["accepted"] == len(EXAMPLES)
    assert server.stop() == 0
    with Registry(own) as registry:
        assert kept.write(registry, "demo", tmp_path / "kept") == {"seven": 5}
