"""The tables of all commands at three widths: no value is cut, no line is too long, and no record is Python's."""

import re

import pytest

from registry import aliases
from registry.core import Registry
from registry.ledger import Report
from registry.requests import Promotion
from tailorbird.settings import Settings
from tests import packages, sweeps
from tuning import spec_file

SPEC = """
name: widths
data: {name: digits}
run: {model: {family: mlp}}
space:
  model.depth: {choice: [1, 2]}
  model.width: {choice: [16, 1024]}
  model.dropout: {uniform: [0.0, 0.5]}
  optimizer.lr: {loguniform: [1.0e-6, 1.0e-1]}
  optimizer.weight_decay: {loguniform: [1.0e-6, 1.0e-1]}
trials: 3
"""
COMMANDS = {
    ("registry", "list"): ["pets:1", "champion", "83.33%", "ada"],
    ("registry", "show", "pets:1"): ["83.33%", "model.onnx", "split_seed", "moved"],
    ("registry", "history", "pets"): ["champion", "ada"],
    ("registry", "diff", "pets:1", "pets:2"): ["pets:1", "pets:2", "cat", "-33.33 points", "model.onnx"],
    ("sweeps", "list"): ["widths-1a2b3c", "finished", "ada"],
    ("sweeps", "show", "widths-1a2b3c"): ["finished", "3/5", "0.8750", "weight_decay"],
    ("sweep", "spec.yaml", "--dry-run"): ["weight_decay", "lr", "dropout"],
    ("data", "digits"): ["1,797", "all", "SHA-256"],
    ("doctor",): ["database", "ok"],
}
PYTHON = r"[{\[]['\"]|\bNone\b|\bTrue\b|\bFalse\b|<[\w.]+ object"


@pytest.fixture
def filled(tmp_path):
    """A registry with two versions and a finished sweep, and its spec in `tmp_path`."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    spec = spec_file.read(tmp_path / "spec.yaml", [])
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        packages.register(registry)
        packages.register(registry, confusion=((10, 10, 0), (10, 10, 0), (0, 10, 10)))
        why = "the first one that anybody trained on all of the pets"
        aliases.promote(registry, Promotion("pets", 1, alias="champion", why=why, who="ada"))
        configs = [config.model_dump(mode="json") for config in spec.configs]
        sweeps.begin(registry, "widths-1a2b3c", spec.model_dump(mode="json", exclude_none=True), configs)
        for trial in range(1, len(configs) + 1):
            sweeps.set_trial(registry, "widths-1a2b3c", trial, "running")
            metrics = {"val_accuracy": 0.875, "val_loss": 0.5, "train_accuracy": 0.9, "train_loss": 0.4}
            sweeps.report(registry, "widths-1a2b3c", trial, Report(3, metrics))
            sweeps.walk(registry, "widths-1a2b3c", trial, "finished")
        sweeps.end(registry, "widths-1a2b3c", "finished")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_tables_fit(tailorbird, filled, width):
    for words, shown in COMMANDS.items():
        out = tailorbird(*words, COLUMNS=str(width)).stdout
        assert "…" not in out and not re.search(PYTHON, out), out
        lines = [line for line in out.splitlines() if not line.startswith("SHA-256 ")]
        assert max(map(len, lines)) <= width, out
        for text in shown:
            assert text.replace(" ", "") in re.sub(r"\s", "", out), out
