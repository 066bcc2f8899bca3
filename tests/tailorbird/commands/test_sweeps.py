import json
import socket

import pytest
import yaml

from registry import ledger
from registry.core import Registry
from registry.ledger import Report
from tailorbird.settings import Settings
from tests import sweeps
from tuning import spec as specs


@pytest.fixture
def swept(tmp_path):
    """A sweep in the ledger with one trial that failed and one that was interrupted."""
    spec = specs.parse(
        {
            "name": "tiny",
            "data": {"name": "digits"},
            "run": {"model": {"family": "mlp"}},
            "space": {"model.width": {"choice": [8, 16]}},
            "search": "grid",
            "limits": {"cpu_minutes": 60},
        }
    )
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        configs = [config.model_dump(mode="json") for config in spec.configs]
        sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), configs, None, "ada")
        sweeps.set_trial(registry, "tiny-1", 1, "failed", "the loss is nan")
        sweeps.set_trial(registry, "tiny-1", 2, "running")
        metrics = {"val_accuracy": 0.875, "val_loss": 0.5, "train_accuracy": 0.9, "train_loss": 0.4}
        sweeps.report(registry, "tiny-1", 2, Report(3, metrics, registry.blobs.put(b"weights")))
        sweeps.report(registry, "tiny-1", 2, Report(6, {**metrics, "val_accuracy": 0.5}))
        sweeps.end(registry, "tiny-1", "interrupted")


def test_sweeps_are_listed_and_shown(tailorbird, swept):
    (listed,) = json.loads(tailorbird("sweeps", "list", "--json").stdout)
    assert (listed["id"], listed["status"], listed["registered"]) == ("tiny-1", "interrupted", None)
    assert "tiny-1" in tailorbird("sweeps", "list").stdout
    shown = tailorbird("sweeps", "show", "tiny-1").stdout
    assert "tiny-1: interrupted" in shown
    assert "depends on timing, because of limits.cpu_minutes" in shown
    assert " 6/5 " in shown and "0.8750" in shown  # of the epoch that was kept, of those that were measured
    assert "trial 1: the loss is nan" in shown
    trials = json.loads(tailorbird("sweeps", "show", "tiny-1", "--json").stdout)["trials"]
    assert [trial["status"] for trial in trials] == ["failed", "interrupted"]
    assert trials[1]["reports"][0]["metrics"]["val_accuracy"] == 0.875


def test_a_sweep_that_is_not_there(tailorbird):
    result = tailorbird("sweeps", "show", "nothing")
    assert result.returncode == 2
    assert result.stderr == "error: sweep: there is no sweep 'nothing'; list the sweeps with `tailorbird sweeps list`\n"


def test_ids_are_whole_where_there_is_little_room(tailorbird, tmp_path):
    spec = specs.parse({"name": "tiny", "data": {"name": "digits"}, "run": {"model": {"family": "mlp"}}, "runs": [{}]})
    name = "objectives-multilabel-that-is-long-aaaaaa"
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        given = spec.model_dump(mode="json", exclude_none=True)
        sweeps.begin(registry, name, given, [config.model_dump(mode="json") for config in spec.configs], None, "ada")
    assert name in tailorbird("sweeps", "list", COLUMNS="80").stdout


def test_a_sweep_that_ended_is_followed_to_its_end(tailorbird, swept):
    shown = tailorbird("sweeps", "show", "tiny-1", "--follow")
    assert shown.returncode == 0, shown.stderr
    assert "trial 1/2 failed after 0/5 epochs" in shown.stdout
    assert "tiny-1: interrupted" in shown.stdout


def test_a_sweep_is_cancelled(tailorbird, swept):
    assert tailorbird("sweeps", "cancel", "tiny-1", "--who", "grace").stdout == "tiny-1 is cancelled\n"
    (listed,) = json.loads(tailorbird("sweeps", "list", "--json").stdout)
    assert (listed["standing"], listed["problem"]) == ("cancelled", "cancelled by grace")


def test_a_sweep_is_not_cancelled_by_nobody(tailorbird, swept):
    refused = tailorbird("sweeps", "cancel", "tiny-1", "--who", "")
    assert (refused.returncode, refused.stderr) == (2, "error: who: is empty; accepted: any text\n")
    (listed,) = json.loads(tailorbird("sweeps", "list", "--json").stdout)
    assert listed["status"] == "interrupted"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "extend: requires one of --trials +N, --epochs +N, --thaw TRIAL and --failed"),
        (["--trials", "+1", "--failed"], "extend: requires one of --trials +N, --epochs +N, --thaw TRIAL and --failed"),
        (["--trials", "-1"], "--trials: '-1' is not a number of trials; accepted: +1 to +100000"),
        (["--trials", "+1"], "--trials: applies only to random search and tpe; runs and grids list their trials"),
        (["--epochs", "two"], "--epochs: 'two' is not a number of epochs; accepted: +1 to +100000"),
        (["--epochs", "+0"], "--epochs: '+0' is not a number of epochs; accepted: +1 to +100000"),
        (["--epochs", "+1"], "--epochs: tiny-1 is interrupted; accepted: a sweep that is finished"),
        (["--thaw", "2"], "--thaw: trial 2 is interrupted; accepted: one that is paused or stopped"),
    ],
)
def test_an_extension_that_is_none_is_refused(tailorbird, swept, words, message):
    refused = tailorbird("sweeps", "extend", "tiny-1", *words)
    assert (refused.returncode, refused.stderr) == (2, f"error: {message}\n")


SEARCH = {
    "name": "tiny",
    "data": {"name": "digits"},
    "run": {"model": {"family": "mlp"}},
    "space": {"model.width": {"choice": [8, 16]}},
    "trials": 2,
}


@pytest.mark.parametrize(
    ("processor", "words", "environment", "status", "message"),
    [
        ("torch 2.0.0, DEFAULT", [], {}, 1, "tiny-1 was started with torch 2.0.0, DEFAULT, and this machine has torch"),
        (None, ["--address", "127.0.0.1:1"], {}, 1, "the Ray cluster at 127.0.0.1:1 does not answer"),
        (None, [], {"RAY_ADDRESS": "127.0.0.1:1"}, 1, "the Ray cluster at 127.0.0.1:1 does not answer"),
        (None, ["--address", "foo"], {}, 2, "--address: 'foo' is not an address of a Ray cluster"),
        (None, ["--who", "x" * 129], {}, 2, "--who: has 129 characters; accepted: at most 128"),
        (None, ["--who", ""], {}, 2, "--who: is empty; accepted: any text"),
    ],
)
def test_a_sweep_that_cannot_be_resumed_here_is_not_extended(
    tailorbird, tmp_path, processor, words, environment, status, message
):
    search = specs.parse(SEARCH)
    configs = [config.model_dump(mode="json") for config in search.configs]
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        sweeps.begin(registry, "tiny-1", search.plain(), configs, processor=processor)
        sweeps.end(registry, "tiny-1", "finished")
        before = ledger.sweep(registry, "tiny-1")
        refused = tailorbird("sweeps", "extend", "tiny-1", "--trials", "+2", *words, **environment)
        assert refused.returncode == status
        assert refused.stderr.startswith(f"error: {message}")
        assert ledger.sweep(registry, "tiny-1") == before


@pytest.fixture
def spec_file(tmp_path):
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SEARCH))
    return "spec.yaml"


def test_a_dry_run_shows_the_trials_and_starts_nothing(tailorbird, spec_file, tmp_path):
    result = tailorbird("sweep", spec_file, "--dry-run")
    assert (result.returncode, result.stderr) == (0, "")
    assert "tiny: 2 trials on digits" in " ".join(result.stdout.split())
    listed = json.loads(tailorbird("sweep", spec_file, "--dry-run", "--json").stdout)
    assert listed["name"] == "tiny"
    assert [config["model"]["width"] for config in listed["trials"]] == [16, 8]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "SPEC.yaml: is required, or --resume SWEEP in its place"),
        (["spec.yaml", "--resume", "tiny-1"], "--resume: takes the spec of the sweep; leave out SPEC.yaml"),
        (["--resume", "tiny-1", "--id", "tiny-1"], "--resume: cannot be combined with --id, --set or --dry-run"),
        (["--resume", "tiny-1", "--dry-run"], "--resume: cannot be combined with --id, --set or --dry-run"),
    ],
)
def test_a_sweep_is_of_a_spec_or_of_the_ledger(tailorbird, spec_file, words, message):
    refused = tailorbird("sweep", *words)
    assert (refused.returncode, refused.stderr) == (2, f"error: {message}\n")


def test_a_cluster_that_does_not_answer_is_told(tailorbird, spec_file):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    result = tailorbird("sweep", spec_file, "--address", address)
    assert result.returncode == 1
    assert f"the Ray cluster at {address} does not answer" in result.stderr
