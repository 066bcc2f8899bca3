import json
import re
import signal

import numpy as np
import pytest
import safetensors.numpy
import yaml
from PIL import Image

from tailorbird.errors import InvalidInput
from training import candidate

CONFIG = {"data": {"name": "digits"}, "model": {"family": "mlp", "width": 32}, "optimizer": {"lr": 5e-3}, "epochs": 3}


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def test_a_run_writes_curves_confusion_matrix_checkpoint_and_export(tailorbird, config_file, tmp_path):
    result = tailorbird("train", config_file, "--set", "epochs=4", "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert [one["epoch"] for one in record["epochs"]] == [1, 2, 3, 4]
    assert record["test_accuracy"] > 0.8
    assert record["parity"]["agreement"] == 1 and record["no_package"] is None
    assert record["figures"]["test"]["accuracy"] == record["test_accuracy"]
    assert record["folder"] == str(tmp_path / "out")
    for name in ("curves.png", "confusion.png"):
        assert Image.open(tmp_path / "out" / name).width > 300
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"checkpoint.safetensors", "model.onnx", "config.yaml", "baseline.json"} <= written
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["epochs"] == 4


@pytest.mark.parametrize(
    ("words", "picture", "reason"),
    [
        (
            ["--set", "data.name=digits_multilabel"],
            "thresholds.png",
            "data: the registry accepts multiclass and binary",
        ),
        (["--set", "data.holdout=0"], "confusion.png", "data.holdout: must be above 0: a candidate and its export"),
    ],
)
def test_what_cannot_be_registered_is_trained_without_a_package(
    tailorbird, config_file, tmp_path, words, picture, reason
):
    assert tailorbird("train", config_file, "--set", "epochs=1", "--out", tmp_path / "out").returncode == 0
    result = tailorbird("train", config_file, *words, "--out", tmp_path / "out")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[-2].startswith(f"no package written: {reason}") and lines[-1] == f"results: {tmp_path / 'out'}"
    assert max(map(len, lines[:-1])) <= 160  # wrapped, except for the path
    written = {path.name for path in (tmp_path / "out").iterdir()}
    files = {"checkpoint.safetensors", "config.yaml", "environment.txt", "curves.json", "curves.png", "figures.json"}
    assert written == {*files, picture}
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())["test"]
    [line] = [line for line in lines if line.startswith("test: ")]
    assert line.startswith(f"test: accuracy {figures['accuracy']:.4f}, standard error ")
    result = tailorbird("train", config_file, *words, "--out", tmp_path / "again", "--json")
    record = json.loads(result.stdout)
    assert record["figures"]["test"] == figures and record["no_package"].startswith(reason)


def test_what_the_user_should_know_of_the_data_is_noted(tailorbird, config_file, tmp_path):
    rows = [f"{n * 7 % 61},{n * n % 7},{'[red]usual' if n else 'rare'}" for n in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,kind", *rows]))
    words = ["--set", "data.name=table", "--set", f"data.path={tmp_path / 'rows.csv'}", "--set", "data.label=kind"]
    words += ["--set", "data.holdout=0", "--set", "epochs=1", "--out", tmp_path / "out"]
    result = tailorbird("train", config_file, *words)
    assert result.returncode == 0, result.stderr
    notes = [line for line in result.stdout.splitlines() if "has no examples of 'rare'" in line]
    assert [line.split()[0] for line in notes] == ["data.validation", "data.test"]
    record = json.loads(tailorbird("train", config_file, *words, "--json").stdout)
    assert record["notes"] == notes


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "model.depth=0"], "error: model.depth: must be greater than or equal to 1, not 0\n"),
        (["--set", "optimizer.lr=-1"], "error: optimizer.lr: must be greater than 0, not -1\n"),
        (["--set", "typo=1"], "error: typo: is not a known key; accepted: data, model, "),
        (["--set", "epochs"], "error: --set: 'epochs' is not KEY=VALUE, as in optimizer.lr=0.01\n"),
        (["--out", "/proc/x"], "error: /proc/x cannot be created: "),
    ],
)
def test_wrong_input_is_one_sentence(tailorbird, config_file, words, sentence):
    result = tailorbird("train", config_file, *words)
    assert result.returncode in (1, 2)
    assert result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1


def test_a_config_that_is_not_there(tailorbird):
    result = tailorbird("train", "nothing.yaml")
    assert (result.returncode, result.stderr) == (2, "error: nothing.yaml: there is no such file\n")


SLOW = ("epochs=12", "batch_size=8", "model.dropout=0.2", "schedule.name=one_cycle")
LONG = [word for key in SLOW for word in ("--set", key)]


def test_an_interrupted_run_goes_on_and_ends_with_the_weights_of_an_unbroken_one(
    tailorbird, started, config_file, tmp_path
):
    assert tailorbird("train", config_file, *LONG, "--out", tmp_path / "whole").returncode == 0
    for attempt, stop in enumerate((signal.SIGKILL, signal.SIGTERM)):  # which is told like Ctrl-C
        again = ["--resume"] if attempt else []
        run = started("train", config_file, *LONG, "--out", tmp_path / "broken", *again)
        for line in run.stdout:  # until it is well under way
            if line.startswith(f"epoch {3 + 3 * attempt}/"):
                break
        run.send_signal(stop)
        text = run.communicate()[1]
        assert (tmp_path / "broken" / "interrupted.safetensors").exists()
        if stop != signal.SIGKILL:
            assert run.returncode == 130
            kept = re.search(r"resume after epoch (\d+) by adding --resume to the same command$", text.strip())
            assert kept and int(kept[1]) >= 3 + 3 * attempt, text  # the last one that was whole
    result = tailorbird("train", config_file, *LONG, "--set", "seed=5", "--out", tmp_path / "broken", "--resume")
    assert (result.returncode, result.stderr.split(": ")[1]) == (2, "--resume")  # another run does not go on
    result = tailorbird("train", config_file, *LONG, "--out", tmp_path / "broken", "--resume")
    assert result.returncode == 0, result.stderr
    for name in ("checkpoint.safetensors", "model.onnx", "config.yaml"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "broken" / "interrupted.safetensors").exists()


def test_there_must_be_something_to_go_on_from(tailorbird, config_file, tmp_path):
    result = tailorbird("train", config_file, "--out", tmp_path / "out", "--resume")
    assert result.returncode == 2
    assert (
        result.stderr == f"error: --resume: there is no interrupted run in {tmp_path / 'out'}; run again without it\n"
    )


def test_a_run_that_diverges_leaves_its_last_good_weights(tailorbird, config_file, tmp_path):
    # every step multiplies the weights by 1 - lr * weight_decay, which a rising rate makes ever larger
    rising = ["model={family: linear}", "schedule={name: one_cycle, warmup: 0.5}", "epochs=10"]
    words = [*rising, "optimizer={name: sgd, lr: 100, weight_decay: 0.3}"]
    result = tailorbird(
        "train", config_file, *(word for one in words for word in ("--set", one)), "--out", tmp_path / "out"
    )
    weights = tmp_path / "out" / "checkpoint.safetensors"
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "the best weights before that are those of epoch " in result.stderr
    assert f"; they are in {weights}\n" in result.stderr
    assert all(np.isfinite(tensor).all() for tensor in safetensors.numpy.load_file(weights).values())


def test_a_run_that_diverges_at_once_leaves_none(tailorbird, config_file, tmp_path):
    diverging = ["--set", "model={family: linear}", "--set", "optimizer={name: sgd, lr: 100, weight_decay: 100}"]
    result = tailorbird("train", config_file, *diverging, "--out", tmp_path / "out")
    assert result.returncode == 1 and "lower optimizer.lr; no epoch ended with finite weights" in result.stderr
    assert not (tmp_path / "out" / "checkpoint.safetensors").exists()


def test_what_comes_after_the_training_leaves_no_mixture_of_two_runs(tailorbird, config_file, tmp_path, monkeypatch):
    words = ("train", config_file, "--out", tmp_path / "run")
    assert tailorbird(*words).returncode == 0
    before = {path.name for path in (tmp_path / "run").iterdir()}

    def fail(*_):
        raise InvalidInput("model", "cannot be exported to ONNX")

    monkeypatch.setattr(candidate, "make", fail)
    result = tailorbird(*words, "--set", "seed=1")
    assert result.stderr == "error: model: cannot be exported to ONNX\n"
    after = {path.name: path for path in (tmp_path / "run").iterdir()}
    assert "model.onnx" in before and "model.onnx" not in after
    assert yaml.safe_load(after["config.yaml"].read_text())["seed"] == 1
    assert after["checkpoint.safetensors"].stat().st_size
