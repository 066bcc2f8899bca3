"""The metrics for Prometheus, summed over the worker processes of a server.

Created in a worker, never at import: prometheus_client decides at its import whether values are in memory or, if
PROMETHEUS_MULTIPROC_DIR is set, in a file per process that every process reads. The counts and gauges of a killed
worker stay in its file: so gauges are not summed, but take the value that was set last.
"""

import math
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from registry.version import Version
from serving.counting import Counter, Histogram
from tailorbird import bins
from tailorbird.drift.judgement import ASSUMPTIONS, Known

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
PREFIX = "tailorbird_"
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
SHED = ("queue", "deadline", "stopping", "restarting")
SWAPS = ("swapped", "failed", "unavailable")
"""Labels published as 0 from the start, since Prometheus ignores the first value of a series."""
PREDICTED = ("model", "version", "predicted_class", "confidence_bin")


def shown(classes: Sequence[str], index: int) -> str:
    """The class as a label of a metric; classes beyond the first hundred share one, to limit the number of series."""
    return classes[index] if index < MOST_CLASSES else OTHER


class Metrics:
    """The metrics of one worker process, as long as it lives."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.predictions = self._counter("predictions_total", "Predictions answered.", *PREDICTED)
        self.requests = self._histogram(
            "request_duration_seconds",
            "Time from a request's head to its answer's end; code 499 if the client disconnected first.",
            REQUEST_SECONDS,
            "route",
            "code",
        )
        self.inference = self._histogram(
            "inference_duration_seconds",
            "Time of the model for one request, all its examples together.",
            INFERENCE_SECONDS,
            "model",
            "version",
        )
        self.feedback = self._counter(
            "feedback_total", "Labels accepted, by whether the prediction was correct.", *PREDICTED, "outcome"
        )
        self.feedback_rejected = self._counter(
            "feedback_rejected_total",
            "Labels not accepted, including repeated (duplicate) and contradicting (conflict) ones.",
            "reason",
        )
        self.shed = self._counter("shed_total", "Requests answered 503 because of load, time or a stop.", "reason")
        for reason in SHED:
            self.shed.labels(reason)
        self.swaps = self._counter("swaps_total", "New versions of the served alias, by outcome.", "outcome")
        for outcome in SWAPS:
            self.swaps.labels(outcome)
        self.challenger_agreement = self._counter(
            "challenger_agreement_total",
            "Examples also sent to a challenger, by outcome.",
            "model",
            "version",
            "challenger",
            "outcome",
        )
        self.inputs = self._counter("inputs_total", "Examples to store, by outcome.", "outcome")
        self._of_routes: dict[tuple[str, int], Histogram] = {}
        self._make_gauges()

    def _make_gauges(self) -> None:
        self.model_info = self._gauge(
            "model_info", "1 for the served version, 0 for earlier ones.", "model", "version", "alias"
        )
        self.baseline_accuracy = self._gauge(
            "baseline_accuracy_ratio", "Held-out accuracy at registration.", "model", "version"
        )
        self.baseline_bin_accuracy = self._gauge(
            "baseline_bin_accuracy_ratio",
            "Held-out accuracy at registration, by predicted class and confidence bin.",
            *PREDICTED,
        )
        self.estimator_weight = self._gauge(
            "estimator_weight_ratio",
            "Weight of a prediction in the fitted estimate, by predicted class and confidence bin.",
            *PREDICTED,
        )
        self.estimated_accuracy = self._gauge(
            "estimated_accuracy_ratio",
            "Estimated accuracy of the last answers, by the assumption of the estimate.",
            "model",
            "version",
            "assumes",
        )
        self.in_flight = Gauge(
            f"{PREFIX}in_flight_requests",
            "Requests in flight.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def answered(self, route: str, code: int, seconds: float) -> None:
        child = self._of_routes.get((route, code))
        if child is None:
            child = self._of_routes[route, code] = self.requests.labels(route, str(code))
        child.observe(seconds)

    def publish(self, version: Version, alias: str, known: Known) -> None:
        """Set the gauges of the served version, its held-out accuracy, and the cells' weights in the estimate."""
        self.model_info.labels(version.model, version.number, alias).set(1)
        self.baseline_accuracy.labels(version.model, version.number).set(known.accuracy)
        self._publish(self.baseline_bin_accuracy, version, known, known.accuracies)
        if known.estimator is not None and known.estimator.weights is not None:
            self._publish(self.estimator_weight, version, known, known.estimator.weights)

    def _publish(self, gauge: Gauge, version: Version, known: Known, values: NDArray[np.float64]) -> None:
        """Every cell, since empty ones fill under drift; for classes that share a name, the mean weighted by count."""
        counts, rows = known.count + 1, min(len(known.classes), MOST_CLASSES)
        merged = values[:rows]
        if len(values) > rows:
            rest = (counts[rows:] * values[rows:]).sum(0) / counts[rows:].sum(0)
            merged = np.vstack((merged, rest))
        for index, row in enumerate(merged.tolist()):
            for label, value in zip(bins.LABELS, row, strict=True):
                gauge.labels(version.model, version.number, shown(known.classes, index), label).set(value)

    def seconds(self, route: str) -> list[tuple[float, float]]:
        """The requests of a route that this worker answered, by the upper edge of the bucket in seconds."""
        counts: dict[float, float] = {}
        for sample in next(iter(self.requests.collect())).samples:
            if sample.name.endswith("_bucket") and sample.labels["route"] == route:
                edge = float(sample.labels["le"])
                counts[edge] = counts.get(edge, 0) + sample.value
        edges = sorted(counts)
        return [(edge, counts[edge] - counts.get(before, 0)) for before, edge in pairwise([-1.0, *edges])]

    def retire(self, version: Version, alias: str) -> None:
        """Clear the gauges of a version that is no longer served, but not its baseline: labels may still arrive."""
        self.model_info.labels(version.model, version.number, alias).set(0)
        for assumes in ASSUMPTIONS:  # NaN, since a series that is removed here stays in the files of other workers
            self.estimated_accuracy.labels(version.model, version.number, assumes).set(math.nan)

    def render(self) -> bytes:
        """The text format, summed over all worker processes."""
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if folder is None:
            return generate_latest(self.registry)
        _bury(Path(folder))
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(PREFIX + name, text, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, text, labels, registry=self.registry, multiprocess_mode="mostrecent")


class VersionMetrics:
    """The metrics of one version; each series is created on first use and then cached."""

    def __init__(self, metrics: Metrics, version: Version, classes: Sequence[str]) -> None:
        self.inference = metrics.inference.labels(version.model, version.number)
        self._metrics = metrics
        self._version = version
        self._classes = classes
        self._predictions: dict[tuple[int, int], Counter] = {}

    def predicted(self, cells: Mapping[tuple[int, int], int]) -> None:
        """Count the answers to a request: how many examples have which class and bin."""
        for cell, count in cells.items():
            child = self._predictions.get(cell)
            if child is None:
                index, confidence_bin = cell
                child = self._predictions[cell] = self._metrics.predictions.labels(
                    self._version.model, self._version.number, shown(self._classes, index), bins.LABELS[confidence_bin]
                )
            child.inc(count)


def _bury(folder: Path) -> None:
    """Remove the requests in flight of killed workers from the sum."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
