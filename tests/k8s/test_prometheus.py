"""The rules do what they say, by Prometheus' own tool; the dashboard and the alerts name what there is."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from serving.metrics import Metrics
from tests.k8s.manifests import ROOT

FOLDER = ROOT / "k8s" / "prometheus"
RULES = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
RECORDS = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def published():
    """The names of the metrics that an endpoint has, without what exposition appends."""
    return {family.name for family in Metrics().registry.collect()}


def named(text):
    """The metrics of the endpoint, and the records, that a query names."""
    metrics = {re.sub(f"({'|'.join(SUFFIXES)})$", "", name) for name in re.findall(r"\btailorbird_[a-z_]+", text)}
    return metrics, set(re.findall(r"\btailorbird:[a-z0-9_:]+", text))


@pytest.fixture
def promtool(tmp_path):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: it comes with prometheus")
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    shutil.copy(FOLDER / "rules.test.yaml", tmp_path)
    return lambda *words: subprocess.run(["promtool", *words], cwd=tmp_path, capture_output=True, text=True)


def test_the_rules_are_rules(promtool):
    told = promtool("check", "rules", "rules.json")
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_rules_compute_what_they_are_named_for(promtool):
    told = promtool("test", "rules", "rules.test.yaml")
    assert told.returncode == 0, told.stdout + told.stderr


def test_rules_name_metrics_and_records_that_there_are():
    for group in RULES["groups"]:
        for rule in group["rules"]:
            metrics, records = named(rule["expr"])
            assert metrics <= published(), rule
            assert records <= RECORDS, rule


def test_the_dashboard_names_metrics_and_records_that_there_are():
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(queries) >= 8
    for query in queries:
        metrics, records = named(query)
        assert metrics | records
        assert metrics <= published(), query
        assert records <= RECORDS, query


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_a_runbook(alert):
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_alerts_on_estimates_say_what_an_estimate_cannot_see():
    estimates = [alert for alert in ALERTS if "Estimated" in alert["alert"]]
    assert estimates
    for alert in estimates:
        told = alert["annotations"]["summary"] + alert["annotations"]["description"]
        assert "An estimate, not a fact" in told
        assert "cannot see that the meaning of classes changed" in told
        assert "only labels can" in told
