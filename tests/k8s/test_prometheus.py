"""The rules do what they say, by Prometheus' own tool; the dashboard and the alerts name what there is."""

import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from serving.metrics import Metrics
from tailorbird import bins
from tailorbird.drift import cells
from tailorbird.drift.estimator import Estimator
from tailorbird.drift.judgement import Known
from tests.e2e.system import Prometheus, until
from tests.k8s.manifests import ROOT

FOLDER = ROOT / "k8s" / "prometheus"
RULES = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
RECORDS = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
TESTS = ("rules.test.yaml", "rules.day.test.yaml")
SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def published():
    """The names of the metrics that an endpoint has, without what exposition appends."""
    return {family.name for family in Metrics().registry.collect()}


def named(query):
    """The metrics of the endpoint, and the records, that a query names."""
    metrics = {re.sub(f"({'|'.join(SUFFIXES)})$", "", name) for name in re.findall(r"\btailorbird_[a-z_]+", query)}
    return metrics | set(re.findall(r"\btailorbird:[a-z0-9_:]+", query))


def unknown(query):
    """What a query names that neither an endpoint publishes nor a rule records."""
    return named(query) - published() - RECORDS


def dashboard_queries():
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


@pytest.fixture
def promtool(tmp_path):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: it comes with prometheus")
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    for tests in TESTS:
        shutil.copy(FOLDER / tests, tmp_path)
    return lambda *words: subprocess.run(["promtool", *words], cwd=tmp_path, capture_output=True, text=True)


def test_the_rules_are_rules(promtool):
    result = promtool("check", "rules", "rules.json")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_rules_compute_what_they_are_named_for(promtool):
    result = promtool("test", "rules", *TESTS)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_rule_that_is_none_is_found(promtool, tmp_path):
    rules = tmp_path / "rules.json"
    rules.write_text(rules.read_text().replace("abs(", "absolute("))
    assert "absolute" in promtool("check", "rules", "rules.json").stderr


def test_rules_name_metrics_and_records_that_there_are():
    queries = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    assert {query: unknown(query) for query in queries if unknown(query)} == {}


def test_the_dashboard_names_metrics_and_records_that_there_are():
    queries = dashboard_queries()
    assert len(queries) >= 8
    assert all(named(query) for query in queries)
    assert {query: unknown(query) for query in queries if unknown(query)} == {}


@pytest.mark.parametrize("name", ["tailorbird_prediction_total", "tailorbird:labels:increase2h"])
def test_a_query_of_what_is_not_there_is_found(name):
    assert unknown(f"sum(rate(tailorbird_shed_total[5m])) + {name}") == {name.removesuffix("_total")}


def test_the_dashboard_mixes_no_estimate_of_the_watch_with_those_of_workers():
    estimates = [query for query in dashboard_queries() if "tailorbird_estimated_accuracy_ratio" in query]
    jobs = [re.findall(r'job(=~|!~)"([^"]*)"', query) for query in estimates]
    watch = yaml.safe_load_all((ROOT / "k8s" / "components" / "monitoring" / "monitors.yaml").read_text())
    name = next(monitor["metadata"]["name"] for monitor in watch if "watch" in monitor["metadata"]["name"])
    assert jobs == [[("=~", f".*{name}")], [("!~", f".*{name}")]]  # a PodMonitor's job is NAMESPACE/NAME


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_is_tried_firing_and_silent(alert):
    cases = [case for tests in TESTS for case in yaml.safe_load((FOLDER / tests).read_text())["tests"]]
    looks = [look for case in cases for look in case.get("alert_rule_test", []) if look["alertname"] == alert["alert"]]
    assert {bool(look.get("exp_alerts")) for look in looks} == {True, False}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_a_runbook(alert):
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_alerts_on_estimates_say_what_an_estimate_cannot_see():
    estimates = [alert for alert in ALERTS if "Estimated" in alert["alert"]]
    assert estimates
    for alert in estimates:
        message = alert["annotations"]["summary"] + alert["annotations"]["description"]
        assert "An estimate, not a fact" in message
        assert "cannot detect a change in the meaning of classes" in message
        assert "only labels can" in message


class Replica:
    """A server with an endpoint's metrics of one version, which counts predictions and labels as an endpoint does."""

    def __init__(self, known):
        self.known = known
        self.restart()
        replica = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(replica.metrics.render())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def restart(self):
        self.metrics = Metrics()
        self.metrics.publish(VERSION, "champion", self.known)

    def count(self, predictions, correct):
        """So many predictions [classes, bins], each with a label, of which so many are right."""
        for (row, column), number in np.ndenumerate(predictions):
            cell = VERSION.model, VERSION.number, self.known.classes[row], bins.LABELS[column]
            self.metrics.predictions.labels(*cell).inc(number)
            self.metrics.feedback.labels(*cell, "correct").inc(correct[row, column])
            self.metrics.feedback.labels(*cell, "incorrect").inc(number - correct[row, column])


VERSION = SimpleNamespace(model="pets", number=3)


@pytest.fixture
def replicas():
    random = np.random.default_rng(0)
    answers = random.integers(1, 40, (2, 2, len(bins.LABELS)))
    weights = random.uniform(0.3, 1, (2, len(bins.LABELS)))
    estimator = Estimator(("cat", "dog"), answers, weights, None)
    accuracies = cells.accuracies(estimator.counts, estimator.correct)
    known = Known(estimator.classes, 0.99, accuracies, estimator.counts, estimator)
    started = [Replica(known) for _ in range(2)]
    yield started
    for replica in started:
        replica.server.shutdown()
        replica.server.server_close()


@pytest.fixture
def prometheus(tmp_path, replicas):
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    started = Prometheus(tmp_path, [replica.port for replica in replicas])
    yield started
    started.kill()


@pytest.mark.long
def test_a_live_prometheus_that_scrapes_two_replicas_records_what_python_computes(prometheus, replicas):
    random, known = np.random.default_rng(1), replicas[0].known
    parts = [random.integers(5, 60, known.count.shape) for _ in range(3)]
    right = [(part * random.uniform(0.2, 0.9, part.shape)).astype(int) for part in parts]
    nothing = np.zeros_like(parts[0])

    def seen(total):
        query = "sum(tailorbird_predictions_total)"
        until(lambda: prometheus.value(query) == total, "it has scraped what was counted", of=prometheus)

    replicas[0].count(parts[0], right[0])
    replicas[1].count(parts[1], right[1])
    seen(parts[0].sum() + parts[1].sum())
    replicas[1].restart()
    replicas[1].count(nothing, nothing)  # a cell that comes back with more than it had would hide the restart
    seen(parts[0].sum())
    replicas[1].count(parts[2], right[2])
    seen(parts[0].sum() + parts[2].sum())
    counts, correct = sum(parts).astype(float), sum(right)
    shares = counts.sum(0) / counts.sum()
    expected = {
        "tailorbird:estimated_accuracy:ratio10m": known.estimator.fitted(counts),
        "tailorbird:labelled_accuracy:ratio1d": correct.sum() / counts.sum(),
        "tailorbird:stratified_accuracy:ratio1h": float(shares @ (correct.sum(0) / counts.sum(0))),
    }
    for record, figure in expected.items():
        until(
            lambda record=record, figure=figure: abs(prometheus.value(record) - figure) < 0.02,
            f"{record} is {figure:.3f}",
        )
    until(
        lambda: prometheus.value('ALERTS{alertname="TailorbirdEstimatedAccuracyDropFast",alertstate="firing"}'),
        "it fires",
    )
