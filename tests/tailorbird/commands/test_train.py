import json

import pytest
import yaml
from PIL import Image

CONFIG = {"data": {"name": "digits"}, "model": {"family": "mlp", "width": 32}, "optimizer": {"lr": 5e-3}, "epochs": 3}


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def test_a_run_writes_curves_confusion_matrix_checkpoint_and_export(tailorbird, config_file, tmp_path):
    told = tailorbird("train", config_file, "--set", "epochs=4", "--out", tmp_path / "out", "--json")
    assert told.returncode == 0, told.stderr
    record = json.loads(told.stdout)
    assert [one["epoch"] for one in record["epochs"]] == [1, 2, 3, 4]
    assert record["test_accuracy"] > 0.8
    assert record["parity"]["agreement"] == 1
    assert record["folder"] == str(tmp_path / "out")
    for name in ("curves.png", "confusion.png"):
        assert Image.open(tmp_path / "out" / name).width > 300
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"checkpoint.safetensors", "model.onnx", "config.yaml", "baseline.json"} <= written
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["epochs"] == 4


def test_the_same_config_gives_the_same_weights(tailorbird, config_file, tmp_path):
    for name in ("a", "b"):
        assert tailorbird("train", config_file, "--out", tmp_path / name).returncode == 0
    weights = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "model.depth=0"], "error: model.depth: must be greater than or equal to 1, not 0\n"),
        (["--set", "optimizer.lr=-1"], "error: optimizer.lr: must be greater than 0, not -1\n"),
        (["--set", "typo=1"], "error: typo: is not a known key\n"),
        (["--set", "epochs"], "error: --set: 'epochs' is not KEY=VALUE, as in optimizer.lr=0.01\n"),
        (["--set", "data.holdout=0"], "error: data.holdout: must be above 0: "),
        (["--out", "/proc/x"], "error: /proc/x cannot be made: "),
    ],
)
def test_wrong_input_is_one_sentence(tailorbird, config_file, words, sentence):
    told = tailorbird("train", config_file, *words)
    assert told.returncode in (1, 2)
    assert told.stderr.startswith(sentence)
    assert told.stderr.count("\n") == 1


def test_a_config_that_is_not_there(tailorbird):
    told = tailorbird("train", "nothing.yaml")
    assert (told.returncode, told.stderr) == (2, "error: nothing.yaml: there is no such file\n")
