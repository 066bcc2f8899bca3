"""Sources of prediction counters: Prometheus, or an endpoint's own metrics."""

import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tailorbird import bins
from tailorbird.errors import InvalidInput, Unavailable

Floats = NDArray[np.float64]
Series = tuple[Mapping[str, str], float]
"""Labels of a metric, and its value."""

PREDICTIONS = "tailorbird_predictions_total"
ESTIMATE = "tailorbird_estimated_accuracy_ratio"
METRICS_PATH = "/metrics"
SECONDS = 10
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Counters:
    """Predictions [classes, bins] of the window, and the endpoint's estimate for its last answers.

    `since_start` says that they count from the start of the server, if there was no check when the window began.
    """

    predictions: Floats
    mix_steady: float | None
    since_start: bool = False


class Source(Protocol):
    def read(self, model: str, version: int, classes: Sequence[str], minutes: float) -> Counters:
        """The counters of a version over the last minutes; raises Unavailable if they cannot be read."""


def open_source(url: str, token: str | None = None) -> Source:
    """The source at `url`: an endpoint if it ends in /metrics, else a Prometheus; raises InvalidInput."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("PROMETHEUS_URL", f"must be http://HOST[:PORT] of a Prometheus, or end in {METRICS_PATH}")
    return Endpoint(url, token) if parts.path.endswith(METRICS_PATH) else Prometheus(url.rstrip("/"))


class Prometheus:
    """A Prometheus server, which sums over replicas and handles their restarts."""

    def __init__(self, url: str) -> None:
        self._url = url

    def read(self, model: str, version: int, classes: Sequence[str], minutes: float) -> Counters:
        selector = f'{{model="{model}",version="{version}"}}'
        window = f"[{max(1, round(60 * minutes))}s]"
        counted = self._query(
            "sum by (predicted_class, confidence_bin) ("
            f'label_replace(increase({PREDICTIONS}{selector}{window}), "part", "grown", "", "")'
            f" or label_replace(min_over_time({PREDICTIONS}{selector}{window})"
            # increase() ignores the first value of a series, which starts with its first prediction
            f' unless {PREDICTIONS}{selector} offset {window[1:-1]}, "part", "first", "", ""))'
        )
        # >= 0 skips replicas that no longer serve the version, whose estimate is NaN
        steady = self._query(f'avg({ESTIMATE}{{model="{model}",version="{version}",assumes="mix_steady"}} >= 0)')
        return Counters(table(counted, classes), _finite(value for _, value in steady))

    def _query(self, query: str) -> list[Series]:
        answer = _get(f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        try:
            content = json.loads(answer)
            return [(row["metric"], float(row["value"][1])) for row in content["data"]["result"]]
        except (ValueError, TypeError, LookupError):
            raise Unavailable(f"{self._url} did not answer like Prometheus") from None


class Endpoint:
    """An endpoint's own metrics: one server with all its workers. The counts of earlier checks are remembered."""

    def __init__(self, url: str, token: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._token = token
        self._clock = clock
        self._looks: dict[tuple[str, int], deque[tuple[float, Floats]]] = {}

    def read(self, model: str, version: int, classes: Sequence[str], minutes: float) -> Counters:
        series = [row for row in _parsed(self._url, self._token) if _of(row[1], model, version)]
        now = table([row[1:] for row in series if row[0] == PREDICTIONS], classes)
        steady = [value for name, labels, value in series if name == ESTIMATE and labels.get("assumes") == "mix_steady"]
        before = self._before(now, (model, version), 60 * minutes)
        return Counters(now if before is None else now - before, _finite(steady), before is None)

    def _before(self, now: Floats, key: tuple[str, int], seconds: float) -> Floats | None:
        """The counts when the window began; None if there was no check then, or the server has started since."""
        looks, moment = self._looks.setdefault(key, deque()), self._clock()
        while len(looks) > 1 and looks[1][0] <= moment - seconds:
            looks.popleft()
        if looks and (now < looks[-1][1]).any():
            looks.clear()
        before = looks[0][1] if looks and looks[0][0] <= moment - seconds else None
        looks.append((moment, now))
        return before


def table(series: Iterable[Series], classes: Sequence[str]) -> Floats:
    """The values [classes, bins] by predicted class and confidence bin; those of merged classes are left out."""
    counts = np.zeros((len(classes), len(bins.LABELS)))
    places = {name: index for index, name in enumerate(classes)}
    columns = {label: index for index, label in enumerate(bins.LABELS)}
    for labels, value in series:
        row, column = places.get(labels.get("predicted_class", "")), columns.get(labels.get("confidence_bin", ""))
        if row is not None and column is not None and math.isfinite(value):
            counts[row, column] += value
    return counts


def _finite(values: Iterable[float]) -> float | None:
    """The first that is not NaN: an estimate that is no longer made is NaN."""
    return next((value for value in values if math.isfinite(value)), None)


def _of(labels: Mapping[str, str], model: str, version: int) -> bool:
    return labels.get("model") == model and labels.get("version") == str(version)


def _parsed(url: str, token: str | None) -> list[tuple[str, Mapping[str, str], float]]:
    from prometheus_client.parser import text_string_to_metric_families

    text = _get(url, token).decode(errors="replace")
    try:
        families: list[Any] = list(text_string_to_metric_families(text))
    except ValueError as error:
        raise Unavailable(f"{url} does not answer with metrics: {error}") from None
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def _get(url: str, token: str | None = None) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    where = urllib.parse.urlsplit(url)._replace(query="").geturl()
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            content: bytes = answer.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{where} answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"{where} does not answer: {getattr(error, 'reason', error)}") from None
    if len(content) > MOST_BYTES:
        raise Unavailable(f"{where} answers more than {MOST_BYTES:,} bytes")
    return content
