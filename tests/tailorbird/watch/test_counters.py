"""Against a live Prometheus that scrapes two replicas, and against endpoints' own metrics."""

import json
import shutil
import socket
import subprocess
import urllib.request
from contextlib import contextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from tailorbird import bins
from tailorbird.errors import InvalidInput, Unavailable
from tailorbird.watch import counters
from tailorbird.watch.counters import Endpoint
from tests.answering import answering
from tests.waiting import wait_for

CLASSES = ("cat", "dog")
LABELS = ("model", "version", "predicted_class", "confidence_bin")
SURE = bins.LABELS.index("0.9")


class Replica:
    """A server with the metrics of an endpoint."""

    def __init__(self):
        self.restart()

    def metrics(self):
        return generate_latest(self.registry)

    def restart(self):
        self.registry = CollectorRegistry()
        self._predictions = Counter("tailorbird_predictions_total", "n", LABELS, registry=self.registry)
        self._estimate = Gauge(
            "tailorbird_estimated_accuracy_ratio", "n", ("model", "version", "assumes"), registry=self.registry
        )

    def predict(self, count, name="cat", version=3, model="pets"):
        self._predictions.labels(model, version, name, "0.9").inc(count)

    def estimate(self, value):
        self._estimate.labels("pets", 3, "mix_steady").set(value)


def _serving():
    replica = Replica()
    with answering(replica.metrics) as replica.address:
        yield replica


replica, other = pytest.fixture(_serving, name="replica"), pytest.fixture(_serving, name="other")


@contextmanager
def prometheus(folder, *replicas):
    if shutil.which("prometheus") is None:
        pytest.skip("needs prometheus")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    scraped = [{"job_name": "pets", "static_configs": [{"targets": [replica.address for replica in replicas]}]}]
    config = {"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": scraped}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--web.listen-address={address}"]
    process = subprocess.Popen([*command, f"--storage.tsdb.path={folder}/data"], stderr=subprocess.DEVNULL)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def until(condition):
    def holds():
        with suppress(Unavailable):
            return condition()

    wait_for(holds)


def test_a_prometheus_sums_over_replicas_and_their_restarts(tmp_path, replica, other):
    for each in (replica, other):
        each.estimate(0.75)
    with prometheus(tmp_path, replica, other) as url:
        source = counters.open_source(url)

        def raw(total):
            query = f"{url}/api/v1/query?query=sum(tailorbird_predictions_total)"
            with urllib.request.urlopen(query) as answer:
                return [float(row["value"][1]) for row in json.load(answer)["data"]["result"]] == [total]

        replica.predict(100)  # the first scrape of a series has all that
        other.predict(60, name="dog")
        until(lambda: raw(160))
        other.restart()
        other.predict(40, name="dog")
        other.estimate(0.75)
        until(lambda: raw(140))

        def close():  # it extrapolates to the window's ends, the less the more it has scraped
            counted = source.read("pets", 3, CLASSES, 1).predictions[:, SURE]
            return counted == pytest.approx([100, 100], rel=0.3)

        until(close)
        read = source.read("pets", 3, CLASSES, 1)
        assert read.mix_steady == pytest.approx(0.75)
        assert source.read("pets", 4, CLASSES, 1).predictions.sum() == 0


def test_an_endpoints_own_metrics_are_read_whole_at_first(replica):
    replica.predict(30)
    replica.predict(12, name="dog")
    replica.predict(5, version=2)
    replica.predict(5, name="owl")
    replica.estimate(0.8)
    read = counters.open_source(f"http://{replica.address}/metrics").read("pets", 3, CLASSES, 60)
    assert (read.predictions[0, SURE], read.predictions[1, SURE], read.predictions.sum()) == (30, 12, 42)
    assert read.mix_steady == 0.8


def test_an_estimate_of_a_version_that_is_served_no_longer_is_none(replica):
    replica.predict(5)
    replica.estimate(float("nan"))
    assert Endpoint(f"http://{replica.address}/metrics").read("pets", 3, CLASSES, 60).mix_steady is None


def test_what_was_counted_before_the_window_is_left_out(replica):
    moment = 0.0
    source = Endpoint(f"http://{replica.address}/metrics", clock=lambda: moment)
    seen = []
    for minute in range(5):
        moment = 60.0 * minute
        replica.predict(10)
        read = source.read("pets", 3, CLASSES, 2)
        seen.append((read.predictions.sum(), read.since_start))
    assert seen == [(10, True), (20, True), (20, False), (20, False), (20, False)]


def test_a_restart_of_the_endpoint_counts_nothing_twice_nor_below_zero(replica):
    moment = 0.0
    source = Endpoint(f"http://{replica.address}/metrics", clock=lambda: moment)
    replica.predict(100)
    source.read("pets", 3, CLASSES, 1)
    replica.restart()
    replica.predict(7)
    moment = 90.0
    assert source.read("pets", 3, CLASSES, 1).predictions.sum() == 7


@pytest.mark.parametrize("path", ["", "/metrics"])
def test_what_is_away_is_told(path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}{path}"
        with pytest.raises(Unavailable, match="does not answer"):
            counters.open_source(url).read("pets", 3, CLASSES, 1)


def test_what_is_no_prometheus_is_told(replica):
    with pytest.raises(Unavailable, match="did not answer like Prometheus"):
        counters.open_source(f"http://{replica.address}").read("pets", 3, CLASSES, 1)


@pytest.mark.parametrize("url", ["pets:9090", "ftp://pets", "http://"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(InvalidInput, match="PROMETHEUS_URL"):
        counters.open_source(url)
