import json
import signal

import pytest

from registry import aliases, feedback, schema
from registry.core import Registry
from registry.feedback import Feedback
from registry.requests import Promotion
from tailorbird.settings import Settings
from tests import packages

GOOD = ((95, 3, 2), (2, 95, 3), (3, 2, 95))
BINS = {name: {"0.9": {"count": 100, "correct": 95}} for name in packages.CLASSES}


@pytest.fixture
def registry(tmp_path):
    with Registry(Settings(_env_file=None, home=tmp_path / "home")) as opened:
        packages.register(opened, confusion=GOOD, bins=BINS)
        aliases.promote(opened, Promotion("pets", 1, why="a test", who="ada"))
        yield opened


def label(registry, right, wrong):
    rows = ["cat"] * right + ["dog"] * wrong
    named = [Feedback(f"{n:032x}", "pets", 1, "cat", "0.9", name, schema.now()) for n, name in enumerate(rows)]
    feedback.record(registry, named)


@pytest.mark.parametrize(
    ("right", "wrong", "status", "state"), [(480, 20, 0, "healthy"), (60, 60, 10, "drifted"), (1, 0, 11, "too little")]
)
def test_its_exit_status_tells_what_it_saw(registry, tailorbird, right, wrong, status, state):
    label(registry, right, wrong)
    result = tailorbird("watch", "pets", "--once")
    assert result.returncode == status
    assert f"pets:1: {state}" in result.stdout


@pytest.mark.parametrize(
    ("setting", "url", "message"),
    [
        ("PROMETHEUS_URL", "http://127.0.0.1:1", "http://127.0.0.1:1/api/v1/query does not answer"),
        ("PROMETHEUS_URL", "http://127.0.0.1:1/metrics", "http://127.0.0.1:1/metrics does not answer"),
        ("DATABASE_URL", "postgresql://ada@127.0.0.1:1/pets", "the database 127.0.0.1/pets cannot be used"),
    ],
)
def test_it_is_blind_without_what_it_is_to_read(registry, tailorbird, setting, url, message):
    label(registry, 60, 60)
    blind = tailorbird("watch", "pets", "--once", **{f"TAILORBIRD_{setting}": url})
    assert blind.returncode == 12
    assert f"no decision made: {message}" in blind.stderr


def test_sigterm_ends_it(registry, started):
    """By a handler: without one, the kernel keeps the signal from process 1 of a container."""
    label(registry, 480, 20)
    process = started("watch", "pets")
    assert "healthy" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert (process.wait(30), process.stderr.read()) == (130, "interrupted\n")


def test_a_single_look_has_no_metrics(registry, tailorbird):
    result = tailorbird("watch", "pets", "--once", "--metrics-port", 9100)
    assert (result.returncode, "--metrics-port" in result.stderr) == (2, True)


def test_json_holds_the_evidence(registry, tailorbird):
    label(registry, 60, 60)
    record = json.loads(tailorbird("watch", "pets", "--once", "--json").stdout)
    assert (record["state"], record["action"], record["evidence"]["labels"]["labels"]) == ("drifted", "alert", 120)
    history = json.loads(tailorbird("registry", "history", "pets", "--json").stdout)
    assert [event["state"] for event in history if event["event"] == "judged"] == ["drifted"]
    assert "pets:1 was judged" in tailorbird("registry", "history", "pets").stdout


def test_a_policy_that_could_loop_is_refused_before_it_starts(registry, tailorbird, tmp_path):
    (tmp_path / "policy.yaml").write_text("labels: roll_back\ncool_down: 1\n")
    result = tailorbird("watch", "pets", "--policy", "policy.yaml")
    assert (result.returncode, "loop" in result.stderr) == (2, True)


def test_the_setting_names_the_policy(registry, tailorbird, tmp_path):
    (tmp_path / "policy.yaml").write_text("labels: sweep\nsweep: again.yaml\n")
    label(registry, 60, 60)
    result = tailorbird("watch", "pets", "--once", TAILORBIRD_WATCH_POLICY=str(tmp_path / "policy.yaml"))
    assert "tailorbird sweep again.yaml" in result.stdout.splitlines()


def test_a_model_that_is_not_there_is_named(registry, tailorbird):
    result = tailorbird("watch", "owls", "--once")
    assert (result.returncode, "owls" in result.stderr) != (12, True)
    assert result.returncode not in (0, 10, 11)
