import io
import json
import math
import platform
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest
import safetensors.numpy
import yaml

from registry import evidence, packages
from tailorbird.errors import Corrupt, InvalidInput
from training import candidate, checkpoint, config, evaluation, export, loop
from training.config import RunConfig
from training.splits import Split


@pytest.fixture(scope="module")
def made(trained, digit_splits):
    weights = checkpoint.encode(trained.best_state)
    return candidate.make(trained.config, digit_splits, weights, trained.epochs, trained.best.epoch)


def strictly(data):
    """JSON that has no NaN in it, as the world outside Python knows it."""
    return json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def nothing_of(part):
    return Split(part.images[:0], part.labels[:0], part.ids[:0])


def test_a_candidate_has_the_files_of_a_package(made):
    assert made.files.keys() == packages.REQUIRED
    assert all(isinstance(data, bytes) and data for data in made.files.values())


def test_the_signature_says_what_goes_in_and_comes_out(made, digit_splits):
    assert strictly(made.files["signature.json"]) == {
        "kind": "image",
        "shape": [8, 8],
        "dtype": "uint8",
        "classes": list("0123456789"),
        "columns": None,
        "objective": "multiclass",
        "temperature": made.temperature,
    }


def test_the_temperature_is_fitted_on_validation_and_stands_in_the_graph(made, trained, digit_splits):
    network = loop.network(trained.config, digit_splits)
    checkpoint.restore(network, made.files["checkpoint.safetensors"])
    logits = evaluation.logits(network, digit_splits.validation)
    assert made.temperature == evaluation.temperature(logits, digit_splits.validation.labels) != 1
    again = export.evaluate(made.files["model.onnx"], digit_splits.validation)
    expected = np.exp(logits / made.temperature)
    np.testing.assert_allclose(again.probabilities, expected / expected.sum(1, keepdims=True), atol=1e-5)


def test_the_baseline_is_of_the_held_out_split_and_adds_up(made, digit_splits):
    baseline = strictly(made.files["baseline.json"])
    confusion = np.array(baseline["confusion"])
    assert baseline["samples"] == confusion.sum() == 180
    assert (confusion.sum(1) == np.bincount(digit_splits.holdout.labels)).all()
    assert baseline["accuracy"] == confusion.trace() / 180 == made.holdout.accuracy
    assert baseline["standard_error"] == pytest.approx(
        math.sqrt(baseline["accuracy"] * (1 - baseline["accuracy"]) / 180)
    )
    cells = [(name, cell) for name, inner in baseline["bins"].items() for cell in inner.values()]
    assert sum(cell["count"] for _, cell in cells) == 180
    assert sum(cell["correct"] for _, cell in cells) == confusion.trace()
    for index, name in enumerate("0123456789"):
        assert sum(cell["count"] for one, cell in cells if one == name) == confusion[:, index].sum()
        assert sum(cell["correct"] for one, cell in cells if one == name) == confusion[index, index]
    assert baseline["test"] == {"accuracy": made.test.accuracy, "samples": 359}
    assert 0.9 < made.test.accuracy < 1 and made.test.accuracy != made.holdout.accuracy


def test_heldout_pairs_ids_with_true_classes_and_probabilities_without_a_pickle(made, digit_splits):
    records = np.load(io.BytesIO(made.files["heldout.npy"]), allow_pickle=False)
    assert records.dtype.names == ("id", "label", "probabilities") and len(records) == 180
    assert (records["id"] == digit_splits.holdout.ids).all()
    assert (records["label"] == digit_splits.holdout.labels).all() and records["label"].dtype == np.dtype("<i4")
    answered = export.evaluate(made.files["model.onnx"], digit_splits.holdout)
    np.testing.assert_array_equal(records["probabilities"], answered.probabilities)
    np.testing.assert_allclose(records["probabilities"].sum(1), 1, atol=1e-5)
    assert (records["probabilities"].argmax(1) == digit_splits.holdout.labels).mean() == made.holdout.accuracy


def test_the_config_can_be_trained_again(made, trained):
    assert config.parse(RunConfig, yaml.safe_load(made.files["config.yaml"])) == trained.config


def test_the_checkpoint_is_that_of_the_epoch_that_was_kept(made, trained):
    stored = safetensors.numpy.load(made.files["checkpoint.safetensors"])
    assert stored.keys() == trained.best_state.keys()
    assert all((trained.best_state[name].numpy() == value).all() for name, value in stored.items())


def test_the_environment_names_the_versions_that_decide_the_weights(made):
    lines = made.files["environment.txt"].decode().splitlines()
    assert f"python=={platform.python_version()}" in lines
    for name in ("torch", "numpy", "onnxruntime", "safetensors", "tailorbird"):
        assert f"{name}=={metadata.version(name)}" in lines


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(candidate, "PACKAGES", ("numpy", "nothing-of-this-name"))
    assert candidate.environment().splitlines()[2:] == [f"numpy=={metadata.version('numpy')}"]


def test_curves_tell_every_epoch(made, trained):
    curves = strictly(made.files["curves.json"])
    assert curves == [{"epoch": one.epoch, **one.metrics()} for one in trained.epochs]
    assert {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds"} == curves[0].keys()


def test_the_export_is_on_a_par(made):
    assert made.parity.agreement == 1.0 and made.parity.max_difference < 1e-5 and made.parity.samples == 180


def test_what_a_run_leaves_behind_is_evidence_that_the_gates_understand(made):
    held = evidence.heldout(made.files["heldout.npy"], 10)
    assert len(held) == 180 and (held.probabilities.argmax(1) == held.labels).mean() == made.holdout.accuracy
    measured = {"parity": made.parity.record(), "latency": made.latency.record()}
    kept = evidence.gathered(made.files, measured)
    assert kept["calibration_error"] == made.holdout.calibration_error() > 0
    assert {name: kept[name] for name in measured} == measured


def test_without_validation_no_number_is_missing_from_json(trained, digit_splits):
    parts = replace(digit_splits, validation=nothing_of(digit_splits.validation))
    epochs = [replace(one, val_loss=math.nan, val_accuracy=math.nan) for one in trained.epochs]
    made = candidate.make(trained.config, parts, checkpoint.encode(trained.best_state), epochs, 4)
    assert made.temperature == 1.0
    for name in made.files:
        if name.endswith(".json"):
            strictly(made.files[name])
    assert "val_loss" not in strictly(made.files["curves.json"])[0]


def test_without_held_out_images_there_is_no_candidate(trained, digit_splits):
    parts = replace(digit_splits, holdout=nothing_of(digit_splits.holdout))
    for call in (
        lambda: candidate.check(parts),
        lambda: candidate.make(trained.config, parts, checkpoint.encode(trained.best_state), trained.epochs, 1),
    ):
        with pytest.raises(InvalidInput, match="must be above 0") as refused:
            call()
        assert refused.value.field == "data.holdout"
    candidate.check(digit_splits)


def test_the_weights_of_another_config_are_no_candidate(trained, digit_splits, run_config):
    with pytest.raises(Corrupt):
        candidate.make(run_config(), digit_splits, checkpoint.encode(trained.best_state), trained.epochs, 1)
