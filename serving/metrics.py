"""What Prometheus scrapes, summed over the worker processes of a server.

Made inside a worker, never at import: prometheus_client decides when it is imported whether values live in memory or,
where PROMETHEUS_MULTIPROC_DIR is set, in a file per process that every process reads. There a killed worker's counts
stay, and its gauges too: so no gauge may add up, and each takes the value that was set last.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from registry.versions import Version
from tailorbird import bins

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MOST_CLASSES = 100
OTHER = "other"
REQUEST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
INFERENCE_SECONDS = (
    0.00002,
    0.00005,
    0.0001,
    0.0002,
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
)
PREDICTED = ("model", "version", "predicted_class", "confidence_bin")


def shown(classes: Sequence[str], index: int) -> str:
    """The class as a label of a metric; those beyond the first hundred share one, so that series stay few."""
    return classes[index] if index < MOST_CLASSES else OTHER


class Metrics:
    """The metrics of one worker process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.predictions = Counter(
            "tailorbird_predictions_total", "Predictions answered.", PREDICTED, registry=registry
        )
        self.requests = Histogram(
            "tailorbird_request_duration_seconds",
            "Time from a request's head to its answer's end; code 499 where the client left first.",
            ("route", "code"),
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self.inference = Histogram(
            "tailorbird_inference_duration_seconds",
            "Time of the model for all images of one request.",
            ("model", "version"),
            buckets=INFERENCE_SECONDS,
            registry=registry,
        )
        self.feedback = Counter(
            "tailorbird_feedback_total",
            "Labels accepted, by whether the prediction was correct or incorrect.",
            (*PREDICTED, "outcome"),
            registry=registry,
        )
        self.feedback_rejected = Counter(
            "tailorbird_feedback_rejected_total",
            "Labels not accepted, repeated (duplicate) and contradicting (conflict) ones among them.",
            ("reason",),
            registry=registry,
        )
        self.model_info = self._gauge("tailorbird_model_info", "1 for what is served.", "model", "version", "alias")
        self.baseline_accuracy = self._gauge(
            "tailorbird_baseline_accuracy_ratio", "Held-out accuracy at registration.", "model", "version"
        )
        self.baseline_bin_accuracy = self._gauge(
            "tailorbird_baseline_bin_accuracy_ratio", "The same by predicted class and confidence.", *PREDICTED
        )
        self._of_routes: dict[tuple[str, int], Histogram] = {}

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="mostrecent")

    def answered(self, route: str, code: int, seconds: float) -> None:
        child = self._of_routes.get((route, code))
        if child is None:
            child = self._of_routes[route, code] = self.requests.labels(route, str(code))
        child.observe(seconds)

    def publish(self, version: Version, alias: str, baseline: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Say what is served, and what it scored on held-out data (`baseline.json`)."""
        self.model_info.labels(version.model, version.number, alias).set(1)
        self.baseline_accuracy.labels(version.model, version.number).set(baseline["accuracy"])
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for index, name in enumerate(classes):
            for confidence_bin, found in baseline["bins"].get(name, {}).items():
                count, correct = sums.get((shown(classes, index), confidence_bin), (0, 0))
                sums[shown(classes, index), confidence_bin] = (count + found["count"], correct + found["correct"])
        for (predicted, confidence_bin), (count, correct) in sums.items():
            if count:
                child = self.baseline_bin_accuracy.labels(version.model, version.number, predicted, confidence_bin)
                child.set(correct / count)

    def render(self) -> bytes:
        """The text format, over all worker processes where there are several."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)


class VersionMetrics:
    """The metrics of one served version, their labels bound once."""

    def __init__(self, metrics: Metrics, version: Version, classes: Sequence[str]) -> None:
        self.inference = metrics.inference.labels(version.model, version.number)
        self._predictions = [
            [
                metrics.predictions.labels(version.model, version.number, shown(classes, index), bin_)
                for bin_ in bins.LABELS
            ]
            for index in range(min(len(classes), MOST_CLASSES + 1))
        ]

    def predicted(self, index: int, confidence_bin: int) -> None:
        self._predictions[min(index, MOST_CLASSES)][confidence_bin].inc()
