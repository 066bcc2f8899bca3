"""Each drill end to end: server, spoiled traffic, labels, the watch and what it does, on the digits of scikit-learn."""

import json

import pytest
import torch

from registry import aliases, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.drill import replay
from tailorbird.settings import Settings
from tests.packages import ABOUT
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

    def run(*words):
        told = tailorbird("drill", "digits", "--json", "--out", "drill.png", *words)
        assert told.returncode == 0, told.stderr
        assert (tmp_path / "drill.png").read_bytes().startswith(b"\x89PNG")
        return json.loads(told.stdout)

    yield run
    with Registry(here) as registry:
        assert aliases.current(registry, "digits") == 2


def test_a_drop_that_labels_prove_is_rolled_back_once_and_the_old_version_answers(drilled):
    steps = drilled("--corruption", "noise", "--severity", "0.75")
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


def test_labels_that_change_their_meaning_are_seen_by_labels_alone(drilled):
    steps = drilled("--flip", "1", "7", "--labels", "uneven")
    spoiled = [step for step in steps if step["spoiled"]]
    assert spoiled[-1]["state"] == "drifted" or any(step["action"] == "rolled back" for step in spoiled)
    assert all(step["estimates"]["fitted"] > 0.85 for step in spoiled if step["version"] == 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--corruption", "rain"), "there is no 'rain'"),
        (("--flip", "1", "1"), "names one class twice"),
        (("--mix", "1"), "CLASS=SHARE"),
        (("--mix", "1=2"), "--mix"),
        (("--unseen", "x"), "'x' is no class"),
        (("--severity", "0"), "--severity"),
    ],
)
def test_what_cannot_be_drilled_is_refused_before_a_server_starts(drilled, tailorbird, words, told):
    refused = tailorbird("drill", "digits", *words)
    assert refused.returncode == 2
    assert told in refused.stderr
