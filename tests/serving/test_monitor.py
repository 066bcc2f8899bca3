from types import SimpleNamespace

import numpy as np
import pytest

from serving.metrics import Metrics
from serving.monitor import LEAST, Monitor
from serving.recent import Recent
from tailorbird.drift.estimator import Estimator
from tailorbird.drift.judgement import Known

CLASSES = ("cat", "dog")


def endpoint(rows, estimator=True):
    answers = np.zeros((2, 2, 12), np.int64)
    answers[0, 0, 6], answers[1, 1, 6], answers[0, 1, 2], answers[1, 0, 2] = 90, 90, 10, 10
    weights = np.full((2, 12), 0.8)
    fitted = Estimator(CLASSES, answers, weights, None) if estimator else None
    known = Known(CLASSES, 0.9, np.full((2, 12), 0.9), answers.sum(0).astype(float), fitted)
    recent = Recent(2)
    recent.add(rows.astype(np.float32))
    version = SimpleNamespace(model="pets", number=3)
    served = SimpleNamespace(
        version=version, model=SimpleNamespace(known=known), predictor=SimpleNamespace(recent=recent)
    )
    return SimpleNamespace(current=served, metrics=Metrics())


def gauges(metrics):
    names = ("fitted", "mix_moves", "mix_steady")
    return {
        name: metrics.registry.get_sample_value(
            "tailorbird_estimated_accuracy_ratio", {"model": "pets", "version": "3", "assumes": name}
        )
        for name in names
    }


def test_each_estimate_is_a_gauge_by_what_it_assumes():
    sure = np.where(np.arange(1000)[:, None] % 2 == np.arange(2), 0.92, 0.08)
    served = endpoint(sure)
    Monitor(served).estimate()
    assert gauges(served.metrics) == {
        "fitted": pytest.approx(0.8),
        "mix_moves": pytest.approx(1, abs=0.02),
        "mix_steady": pytest.approx(0.92, abs=0.002),
    }


def test_of_a_ring_that_is_not_full_the_shares_of_classes_tell_nothing():
    served = endpoint(np.full((999, 2), 0.5))
    Monitor(served).estimate()
    assert [name for name, value in gauges(served.metrics).items() if value is None] == ["mix_steady"]


def test_of_few_answers_nothing_is_estimated():
    served = endpoint(np.full((LEAST - 1, 2), 0.5))
    Monitor(served).estimate()
    assert set(gauges(served.metrics).values()) == {None}


def test_without_an_estimator_nothing_is_estimated():
    served = endpoint(np.full((LEAST, 2), 0.5), estimator=False)
    Monitor(served).estimate()
    assert set(gauges(served.metrics).values()) == {None}


def test_before_a_model_is_served_there_is_nothing_to_do():
    Monitor(SimpleNamespace(current=None)).estimate()
