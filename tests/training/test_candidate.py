import io
import json
import math
import platform
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
import yaml

from registry import packages
from tailorbird import shares
from tailorbird.errors import Corrupt, InvalidInput
from tailorbird.package.baseline import Baseline
from tailorbird.package.heldout import Heldout
from tailorbird.package.measurements import Measurements
from tailorbird.package.samples import Samples
from tailorbird.package.signature import Signature
from training import candidate, checkpoint, datasets, evaluation, export, registrable, splits
from training import config as configs
from training.config import RunConfig
from training.loop import Run
from training.network import fresh, restored


@pytest.fixture(scope="module")
def made(trained, digit_splits):
    weights = checkpoint.encode(trained.best_state)
    return candidate.make(trained.config, digit_splits, weights, trained.epochs, trained.best.epoch)


def strictly(data):
    """JSON that has no NaN in it, as the world outside Python knows it."""
    return json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def nothing_of(part):
    return part.only(slice(0))


def test_a_candidate_has_the_files_of_a_package(made):
    assert made.files.keys() == packages.REQUIRED | {"estimator.json", "samples.npz"}
    assert all(isinstance(data, bytes) and data for data in made.files.values())


def test_the_signature_says_what_goes_in_and_comes_out(made, digit_splits):
    assert strictly(made.files["signature.json"]) == {
        "kind": "image",
        "shape": [8, 8],
        "dtype": "uint8",
        "classes": list("0123456789"),
        "columns": None,
        "depth": 16,
        "ground": 0,
        "objective": "multiclass",
        "temperature": made.temperature,
    }


def test_the_temperature_is_fitted_on_validation_and_stands_in_the_graph(made, trained, digit_splits):
    network = fresh(trained.config, digit_splits)
    checkpoint.restore(network, made.files["checkpoint.safetensors"])
    assert made.temperature == evaluation.temperature(network, digit_splits.validation, "multiclass") != 1
    logits = evaluation.logits(network, digit_splits.validation)
    again = export.evaluate(made.files["model.onnx"], digit_splits.validation, "multiclass")
    expected = np.exp(logits / made.temperature)
    np.testing.assert_allclose(again.probabilities, expected / expected.sum(1, keepdims=True), atol=1e-5)


def test_the_baseline_is_of_the_held_out_split_and_adds_up(made, digit_splits):
    baseline = strictly(made.files["baseline.json"])
    confusion = np.array(baseline["confusion"])
    assert baseline["samples"] == confusion.sum() == 180
    assert (confusion.sum(1) == np.bincount(digit_splits.holdout.targets)).all()
    assert baseline["accuracy"] == confusion.trace() / 180 == made.holdout.accuracy
    assert baseline["standard_error"] == shares.standard_error(baseline["accuracy"], 180)
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
    assert (records["label"] == digit_splits.holdout.targets).all() and records["label"].dtype == np.dtype("<i4")
    answered = export.evaluate(made.files["model.onnx"], digit_splits.holdout, "multiclass")
    np.testing.assert_array_equal(records["probabilities"], answered.probabilities)
    np.testing.assert_allclose(records["probabilities"].sum(1), 1, atol=1e-5)
    assert (records["probabilities"].argmax(1) == digit_splits.holdout.targets).mean() == made.holdout.accuracy


def test_samples_are_held_out_examples_of_each_class(made, digit_splits):
    samples = Samples.parse(made.files["samples.npz"], Signature.parse(made.files["signature.json"]))
    assert samples.labels.tolist() == [*range(10)] * 3
    pairs = zip(digit_splits.holdout.at(slice(None)), digit_splits.holdout.targets, strict=True)
    held = {example.tobytes(): label for example, label in pairs}
    assert [held[example.tobytes()] for example in samples.inputs] == samples.labels.tolist()


def test_the_config_can_be_trained_again(made, trained):
    assert configs.parse(RunConfig, yaml.safe_load(made.files["config.yaml"])) == trained.config


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
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert candidate.surroundings()[2:] == [f"numpy=={metadata.version('numpy')}"]


def test_the_environment_names_the_instructions_that_bf16_rests_on(monkeypatch):
    for known, line in (({"amx_bf16": True, "avx512_bf16": True}, ["cpu flags: amx_bf16 avx512_bf16"]), ({}, [])):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda known=known: known)
        lines = candidate.surroundings()
        assert [line for line in lines if line.startswith("cpu flags")] == line == lines[2 : 2 + len(line)]


def test_curves_tell_every_epoch(made, trained):
    curves = strictly(made.files["curves.json"])
    assert curves == [{"epoch": epoch.epoch, **epoch.metrics()} for epoch in trained.epochs]
    assert {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds"} == curves[0].keys()


def test_the_export_is_on_a_par(made):
    assert (
        made.export.parity.agreement == 1.0
        and made.export.parity.max_difference < 1e-5
        and made.export.parity.samples == 180
    )


def test_what_a_run_leaves_behind_is_evidence_that_the_gates_understand(made):
    held = Heldout.parse(made.files["heldout.npy"], 10)
    assert len(held) == 180 and (held.probabilities.argmax(1) == held.labels).mean() == made.holdout.accuracy
    kept = Measurements.of_package(Baseline.parse(made.files["baseline.json"]), made.export)
    assert kept.calibration_error == made.holdout.calibration_error > 0
    assert (kept.parity, kept.latency) == (made.export.parity, made.export.latency)


def test_without_validation_no_number_is_missing_from_json(trained, digit_splits):
    parts = replace(digit_splits, validation=nothing_of(digit_splits.validation))
    epochs = [replace(epoch, val_loss=math.nan, val_accuracy=math.nan) for epoch in trained.epochs]
    made = candidate.make(trained.config, parts, checkpoint.encode(trained.best_state), epochs, 4)
    assert made.temperature == 1.0
    for name in made.files:
        if name.endswith(".json"):
            strictly(made.files[name])
    assert "val_loss" not in strictly(made.files["curves.json"])[0]


def test_without_held_out_images_there_is_no_candidate(trained, digit_splits):
    parts = replace(digit_splits, holdout=nothing_of(digit_splits.holdout))
    with pytest.raises(InvalidInput, match=r"^data.holdout: must be above 0"):
        candidate.make(trained.config, parts, checkpoint.encode(trained.best_state), trained.epochs, 1)
    assert registrable.obstacle(parts).startswith("data.holdout: must be above 0")
    assert registrable.obstacle(digit_splits) is None


def test_the_weights_of_another_config_are_no_candidate(trained, digit_splits, run_config):
    with pytest.raises(Corrupt):
        candidate.make(run_config(), digit_splits, checkpoint.encode(trained.best_state), trained.epochs, 1)


# --- tables, two classes, and what the registry does not take


@pytest.fixture(scope="module")
def known():
    """A run on one of scikit-learn's sets, and what it leaves behind."""

    def train(name, leave, **changes):
        config = RunConfig.model_validate(
            {
                "data": {"name": name, "validation": 0.2, "holdout": 0.2},
                "model": {"family": "mlp", "width": 16},
                "optimizer": {"lr": 3e-3},
                "epochs": 6,
                "device": "cpu",
                **changes,
            }
        )
        dealt = splits.split(datasets.load(config.data, Path("/nowhere"), Path("/nowhere")), config.data)
        run = Run(config, dealt)
        list(run)
        return dealt, leave(config, dealt, checkpoint.encode(run.best_state), run.epochs, run.best.epoch)

    return train


@pytest.mark.parametrize(("name", "kind", "columns"), [("breast_cancer", "binary", 30), ("iris", "multiclass", 4)])
def test_a_model_of_a_table_is_a_candidate(known, name, kind, columns):
    dealt, made = known(name, candidate.make)
    assert made.files.keys() == packages.REQUIRED | {"estimator.json", "samples.npz"}
    text = strictly(made.files["signature.json"])
    assert text == {
        "kind": "table",
        "shape": [columns],
        "dtype": "float64",
        "classes": list(dealt.classes),
        "columns": list(dealt.columns),
        "depth": 16,
        "ground": 0,
        "objective": kind,
        "temperature": made.temperature,
    }
    assert len(text["columns"]) == columns
    assert made.export.parity.agreement == 1.0 and made.export.parity.max_difference < 1e-5
    held = Heldout.parse(made.files["heldout.npy"], len(dealt.classes))
    assert (held.ids == splits.content_ids(dealt.holdout.at(slice(None)))).all()
    assert (held.labels == dealt.holdout.targets).all()
    assert (held.probabilities.argmax(1) == held.labels).mean() == made.holdout.accuracy > 0.6
    assert Baseline.parse(made.files["baseline.json"]).accuracy == made.holdout.accuracy
    assert ("f1" in made.figures["test"]) == (kind == "binary")
    assert made.record()["figures"]["holdout"]["accuracy"] == made.record()["holdout_accuracy"]


@pytest.mark.parametrize("name", ["digits_multilabel", "diabetes"])
def test_labels_and_numbers_are_no_candidates(known, name):
    kind = {"digits_multilabel": "multilabel", "diabetes": "regression"}[name]
    with pytest.raises(InvalidInput) as refused:
        known(name, candidate.make, epochs=1)
    assert str(refused.value).startswith(f"data: the registry accepts multiclass and binary models; this one is {kind}")


@pytest.mark.parametrize(
    ("name", "picture", "figure"),
    [
        ("digits_multilabel", "thresholds.png", "exact_match"),
        ("diabetes", None, "rmse"),
        ("breast_cancer", "confusion.png", "f1"),
    ],
)
def test_results_are_left_behind_without_a_package(known, name, picture, figure):
    dealt, made = known(name, candidate.results)
    always = {"checkpoint.safetensors", "config.yaml", "environment.txt", "curves.json", "curves.png", "figures.json"}
    assert made.files.keys() == always | ({picture} if picture else set())
    assert all(made.files[file].startswith(b"\x89PNG") for file in made.files if file.endswith(".png"))
    stored = strictly(made.files["figures.json"])
    assert stored == {"kind": dealt.kind, "temperature": stored["temperature"], **made.figures}
    assert made.record() == {"figures": made.figures}
    assert list(made.figures) == ["validation", "holdout", "test"]
    config = configs.parse(RunConfig, yaml.safe_load(made.files["config.yaml"]))
    network = restored(config, dealt, made.files["checkpoint.safetensors"])
    assert stored["temperature"] == evaluation.temperature(network, dealt.validation, dealt.kind)
    for split, figures in made.figures.items():
        again = evaluation.of(network, getattr(dealt, split), dealt.kind, stored["temperature"])
        assert figures == again.figures() and figure in figures


def test_results_are_of_the_splits_that_there_are(known):
    _, made = known("iris", candidate.results, data={"name": "iris", "validation": 0, "holdout": 0, "test": 0.5})
    assert list(made.figures) == ["test"]
    assert strictly(made.files["figures.json"])["temperature"] == 1
