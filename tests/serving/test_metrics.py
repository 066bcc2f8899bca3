import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from registry.version import Version
from serving.metrics import OTHER, SHED, SWAPS, Metrics, VersionMetrics, shown
from tailorbird import bins
from tailorbird.drift.estimator import Estimator
from tailorbird.drift.judgement import ASSUMPTIONS, Known
from tailorbird.package.baseline import Baseline
from tests.packages import ABOUT, COLUMNS

VERSION = Version("demo", 7, "0" * 64, COLUMNS, "tester", ABOUT.created)
MANY = [f"class {index}" for index in range(150)]
SCORED = Baseline.of(
    {"accuracy": 0.8, "standard_error": 0.1, "samples": 9, "confusion": [], "bins": {}}
    | {"test": {"accuracy": 1, "samples": 9}}
)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"tailorbird_{name}", {key: str(label) for key, label in labels.items()})


def test_classes_beyond_a_hundred_share_a_label():
    assert shown(MANY, 99) == "class 99"
    assert shown(MANY, 100) == shown(MANY, 149) == OTHER


def test_predictions_are_counted_by_class_and_bin():
    metrics = Metrics()
    bound = VersionMetrics(metrics, VERSION, MANY)
    for index in (3, 3, 100, 149):
        bound.predicted({(index, 11): 1})
    labels = {"model": "demo", "version": 7, "confidence_bin": "0.999"}
    assert value(metrics, "predictions_total", predicted_class="class 3", **labels) == 2
    assert value(metrics, "predictions_total", predicted_class=OTHER, **labels) == 2
    assert value(metrics, "predictions_total", predicted_class="class 4", **labels) is None  # made when first needed
    assert "class 100" not in metrics.render().decode()


def test_what_was_never_shed_nor_swapped_is_0_so_that_prometheus_sees_the_first():
    metrics = Metrics()
    shed = {reason: value(metrics, "shed_total", reason=reason) for reason in SHED}
    swaps = {outcome: value(metrics, "swaps_total", outcome=outcome) for outcome in SWAPS}
    assert {*shed.values(), *swaps.values()} == {0}
    assert set(shed) == {"queue", "deadline", "stopping", "restarting"}


def test_what_is_published():
    metrics = Metrics()
    bins = {
        "class 0": {"0.9": {"count": 8, "correct": 6}, "0.95": {"count": 0, "correct": 0}},
        "class 100": {"0": {"count": 1, "correct": 1}},
        "class 149": {"0": {"count": 3, "correct": 0}},
    }
    metrics.publish(VERSION, "champion", Known.of(MANY, Baseline.of(SCORED.record() | {"bins": bins}), None))
    of = {"model": "demo", "version": 7}
    assert value(metrics, "model_info", alias="champion", **of) == 1
    assert value(metrics, "baseline_accuracy_ratio", **of) == 0.8
    ratio = "baseline_bin_accuracy_ratio"
    seen = value(metrics, ratio, predicted_class="class 0", confidence_bin="0.9", **of)
    empty = value(metrics, ratio, predicted_class="class 1", confidence_bin="0.9", **of)
    assert 0.75 <= seen < empty < 0.925  # shrunk towards their bin, and that towards its confidence
    assert value(metrics, ratio, predicted_class="class 0", confidence_bin="0.95", **of) == pytest.approx(0.965)
    assert 0 < value(metrics, ratio, predicted_class=OTHER, confidence_bin="0", **of) < 0.5
    assert value(metrics, "estimator_weight_ratio", predicted_class="class 0", confidence_bin="0.9", **of) is None


def test_the_weights_of_the_fitted_estimate_are_published_by_cell():
    metrics = Metrics()
    weights = np.arange(24.0).reshape(2, 12) / 24
    fitted = Estimator(("cat", "dog"), np.ones((2, 2, 12), np.int64), weights, None)
    metrics.publish(VERSION, "champion", Known.of(("cat", "dog"), SCORED, fitted))
    labels = {"model": "demo", "version": 7, "predicted_class": "dog", "confidence_bin": "0.4"}
    assert value(metrics, "estimator_weight_ratio", **labels) == weights[1, 1]


def test_a_version_that_is_served_no_longer():
    metrics = Metrics()
    metrics.publish(VERSION, "champion", Known.of(MANY, SCORED, None))
    metrics.estimated_accuracy.labels("demo", 7, "fitted").set(0.8)
    metrics.retire(VERSION, "champion")
    assert value(metrics, "model_info", alias="champion", model="demo", version=7) == 0
    assert math.isnan(value(metrics, "estimated_accuracy_ratio", assumes="fitted", model="demo", version=7))
    assert value(metrics, "baseline_accuracy_ratio", model="demo", version=7) == 0.8


def test_two_versions_beside_each_other():
    metrics = Metrics()
    for number in (7, 8):
        VersionMetrics(metrics, replace(VERSION, number=number), MANY[:2]).predicted({(0, 0): 1})
    for number in (7, 8):
        labels = {"model": "demo", "version": number, "predicted_class": "class 0", "confidence_bin": "0"}
        assert value(metrics, "predictions_total", **labels) == 1


def test_a_version_has_no_more_series_than_the_documentation_says():
    metrics, labels = Metrics(), ["demo", 7]
    fitted = Estimator(tuple(MANY[:10]), np.ones((10, 10, 12), np.int64), np.ones((10, 12)), None)
    metrics.publish(VERSION, "champion", Known.of(MANY[:10], SCORED, fitted))
    bound = VersionMetrics(metrics, VERSION, MANY[:10])
    for index, confidence_bin in product(range(10), range(12)):
        bound.predicted({(index, confidence_bin): 1})
        for outcome in ("correct", "incorrect"):
            metrics.feedback.labels(*labels, MANY[index], bins.LABELS[confidence_bin], outcome).inc()
    for assumes in ASSUMPTIONS:
        metrics.estimated_accuracy.labels(*labels, assumes).set(0.5)
    lines = metrics.render().decode().splitlines()
    series = [line for line in lines if 'version="7"' in line and "_created{" not in line]
    documented = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    assert f"{len(series)} for 10 classes" in documented


def test_requests_are_timed_by_route_and_code():
    metrics = Metrics()
    for seconds in (0.001, 0.002):
        metrics.answered("/predict", 200, seconds)
    assert value(metrics, "request_duration_seconds_count", route="/predict", code=200) == 2
    assert value(metrics, "request_duration_seconds_sum", route="/predict", code=200) == 0.003
