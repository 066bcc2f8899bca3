"""Each drill end to end: server, spoiled traffic, labels, the watch and what it does, on the digits of scikit-learn."""

import json
import socket
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from registry import aliases, feedback, history, judgements, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.drill import endpoint, replay
from tailorbird.drill.traffic import LATE_STEPS
from tailorbird.settings import Settings
from tests.packages import ABOUT
from tests.waiting import wait_for
from training import candidate, checkpoint, datasets, splits
from training.config import RunConfig
from training.loop import Run

RUN = {
    "data": {"name": "digits", "validation": 0.1, "holdout": 0.3, "test": 0.3},
    "model": {"family": "mlp", "width": 64},
    "optimizer": {"lr": 0.01},
    "batch_size": 64,
    "epochs": 15,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.set_num_threads(1)
    config = RunConfig.model_validate(RUN)
    folder = tmp_path_factory.mktemp("digits")
    dealt = splits.split(datasets.load(config.data, folder, folder), config.data)
    run = Run(config, dealt)
    for _ in run:
        pass
    return candidate.make(config, dealt, checkpoint.encode(run.best_state), run.epochs, run.best.epoch)


@pytest.fixture
def drilled(trained, tailorbird, tmp_path, monkeypatch):
    """Runs a drill of a model with two versions; returns its steps, and the home that people use."""
    monkeypatch.setattr(replay, "SPOILED", 14)
    here = Settings(_env_file=None, home=tmp_path / "home")
    with Registry(here) as registry:
        for number in (1, 2):
            versions.register(registry, "digits", trained.files, trained.export, ABOUT.lineage, "ada")
            aliases.promote(registry, Promotion("digits", number, why="a test", who="ada", force=True))

    def run(*words, **environment):
        result = tailorbird("drill", "digits", "--json", "--out", "drill.png", *words, **environment)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "drill.png").read_bytes().startswith(b"\x89PNG")
        return json.loads(result.stdout)

    yield run
    with Registry(here) as registry:
        assert aliases.current(registry, "digits") == 2


@pytest.fixture
def kept(monkeypatch):
    """What a drill leaves in the registry of its own: moves and judgements, newest first."""
    own, rows = endpoint.own, {}

    @contextmanager
    def looked_into(here, model):
        with own(here, model) as (served, registry):
            yield served, registry
            rows["moves"] = [(move.kind, move.to_number) for move in history.moves(registry, model)]
            rows["judged"] = [(row.number, row.action) for row in judgements.page(registry, model)]

    monkeypatch.setattr(endpoint, "own", looked_into)
    return rows


def test_a_drop_that_labels_prove_is_rolled_back_once_and_the_old_version_answers(drilled, kept):
    steps = drilled("--corruption", "noise", "--severity", "0.75")
    assert kept["moves"] == [("rollback", 1), ("promote", 2), ("promote", 1)]
    assert [row for row in kept["judged"] if row[1] == "rolled back"] == [(2, "rolled back")]
    assert steps[-1]["state"] == "drifted"  # so is the version before, and nobody goes further back
    assert "drifted" not in {step["state"] for step in steps if not step["spoiled"]}
    actions = [step["action"] for step in steps if step["action"] != "none"]
    assert actions.count("rolled back") == 1
    back = next(step["minute"] for step in steps if step["action"] == "rolled back")
    assert back >= replay.CLEAN
    assert {step["version"] for step in steps if step["minute"] <= back} == {2}
    assert {step["version"] for step in steps if step["minute"] > back} == {1}


def test_a_drop_without_labels_is_suspected_and_moves_nothing(drilled):
    steps = drilled("--corruption", "noise", "--severity", "0.75", "--labels", "none")
    assert "suspected" in {step["state"] for step in steps if step["spoiled"]}
    assert {step["version"] for step in steps} == {2}
    assert {step["labelled"] for step in steps} == {None}


@pytest.mark.long
@pytest.mark.parametrize("labels", ["late", "uneven"])
def test_labels_that_are_late_or_uneven_prove_the_drop_too(drilled, labels):
    steps = drilled("--corruption", "noise", "--severity", "0.75", "--labels", labels)
    back = [step["minute"] for step in steps if step["action"] == "rolled back"]
    assert len(back) == 1
    assert back[0] >= replay.CLEAN + (LATE_STEPS if labels == "late" else 0)
    assert {step["version"] for step in steps if step["minute"] > back[0]} == {1}
    accuracy = np.mean([step["accuracy"] for step in steps[: replay.CLEAN]])
    labelled = [step for step in steps[: replay.CLEAN] if step["labelled"] is not None]
    assert len(labelled) == replay.CLEAN - (LATE_STEPS if labels == "late" else 0)
    assert all(step["low"] - 0.03 <= accuracy <= step["high"] + 0.03 for step in labelled)


@pytest.mark.long
def test_a_class_that_becomes_frequent_is_no_drop(drilled):
    steps = drilled("--mix", "1=0.7")
    assert {step["action"] for step in steps} == {"none"}
    last = steps[-1]["estimates"]
    assert last["mix_moves"] > last["mix_steady"] + 0.2  # which takes the move for strangers


@pytest.mark.long
def test_a_class_that_looks_like_nothing_seen_is_told_by_labels(drilled, monkeypatch):
    monkeypatch.setattr(replay, "SPOILED", 40)  # it takes some 1,000 labels where 539 examples were held out
    steps = drilled("--unseen", "0", "--labels", "prompt")
    assert "rolled back" in {step["action"] for step in steps if step["spoiled"]}


@pytest.mark.long
def test_labels_that_change_their_meaning_are_seen_by_labels_alone(drilled):
    steps = drilled("--flip", "1", "7", "--labels", "uneven")
    spoiled = [step for step in steps if step["spoiled"]]
    assert spoiled[-1]["state"] == "drifted" or any(step["action"] == "rolled back" for step in spoiled)
    assert all(step["estimates"]["fitted"] > 0.85 for step in spoiled if step["version"] == 2)


@pytest.mark.long
def test_clean_traffic_has_no_alert(drilled):
    steps = drilled()
    assert {step["state"] for step in steps[replay.WINDOW :]} == {"healthy"}
    assert {step["action"] for step in steps} == {"none"}


@pytest.mark.long
def test_an_endpoint_that_runs_is_drilled_only_where_that_is_meant(drilled, tailorbird, started, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    refused = tailorbird("drill", "digits", "--url", url)
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    false = tailorbird("drill", "digits", "--url", url, "--yes", "--labels", "late")
    assert (false.returncode, "--labels" in false.stderr) == (2, True)
    away = tailorbird("drill", "digits", "--url", url, "--yes")
    assert (away.returncode, "does not answer" in away.stderr) == (1, True)
    token = {"TAILORBIRD_API_TOKEN": "a-secret-token"}
    started("serve", "digits", "--port", url.rpartition(":")[2], **token)
    wait_for(lambda: endpoint.DIRECT.open(f"{url}/readyz").status == 200)
    steps = drilled("--corruption", "noise", "--severity", "0.75", "--url", url, "--yes", **token)
    assert [step["action"] for step in steps if step["action"] != "none"][-1] == "alert"
    assert {(step["version"], step["labelled"]) for step in steps} == {(2, None)}
    events = json.loads(tailorbird("registry", "history", "digits", "--json").stdout)
    assert "suspected" in [event.get("state") for event in events]
    with Registry(Settings(_env_file=None, home=tmp_path / "home")) as registry:
        assert feedback.cells(registry, "digits", 2) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--corruption", "rain"), "there is no 'rain'"),
        (("--flip", "1", "1"), "names one class twice"),
        (("--mix", "1"), "CLASS=SHARE"),
        (("--mix", "1=2"), "--mix"),
        (("--unseen", "x"), "'x' is not a class"),
        (("--severity", "0"), "--severity"),
    ],
)
def test_what_cannot_be_drilled_is_refused_before_a_server_starts(drilled, tailorbird, words, message):
    refused = tailorbird("drill", "digits", *words)
    assert refused.returncode == 2
    assert message in refused.stderr
