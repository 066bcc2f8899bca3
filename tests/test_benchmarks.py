import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks import accuracy, photos
from tests import memory
from training.datasets import cifar, idx
from tuning import spec_file

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "registry": [],
    "serving": [],
    "training": [],
    "sweeps": [],
    "search": [],
    "accuracy": ["fashion-fast"],
    "drift": [],
    "photos": [],
}
if torch.cuda.is_available():
    COMMANDS["gpu"] = []


LONG = ("accuracy", "drift", "photos", "serving", "sweeps", "training")
"""Each takes half a minute or more."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in COMMANDS])
def test_a_benchmark_measures_and_writes_its_figures(name, tmp_path):
    if name == "photos" and not all(map(find_spec, photos.PACKAGES)):
        pytest.skip(f"needs {' and '.join(photos.PACKAGES)}, real weights of a backbone")
    if name not in ("registry", "serving", "sweeps", "search", "photos") and idx.SOURCES["fashion_mnist"].missing(
        Path(os.environ.get("TAILORBIRD_DATA_DIR", "/nowhere"))
    ):
        pytest.skip("needs Fashion-MNIST: set TAILORBIRD_DATA_DIR to a folder with FashionMNIST/raw")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *COMMANDS[name], "--quick", "--json", str(figures)]
    environment = os.environ | {"TMPDIR": memory.folder() or tempfile.gettempdir()}  # no matter how fast the disk is
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    record = json.loads(figures.read_text())
    assert record["benchmark"] == name
    assert {"machine", "date", "runs"} <= record.keys()
    for one in [*record["figures"].values(), *record["ratios"].values()]:
        assert one["low"] <= one["value"] <= one["high"]
        assert one["low"] >= 0 or one["unit"] == "points"
    assert all(name in result.stdout for name in record["figures"] | record["ratios"])
    if name == "accuracy":
        assert record["figures"]["fashion-fast: memory of one process"]["high"] < 1.2


@pytest.mark.long
def test_a_run_on_cifar_takes_less_than_two_gigabytes(tmp_path):
    if cifar.place(Path(os.environ.get("TAILORBIRD_DATA_DIR", "/nowhere"))) is None:
        pytest.skip("needs CIFAR-10: set TAILORBIRD_DATA_DIR")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.accuracy", "cifar10-fast", "--quick", "--json", str(figures)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(figures.read_text())["figures"]["cifar10-fast: memory of one process"]["high"] < 2


def test_every_benchmark_is_tested():
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "report.tell(" in path.read_text()}
    assert scripts == COMMANDS.keys() | {"gpu"}


def test_the_benchmark_of_a_gpu_says_where_there_is_none():
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "benchmarks.gpu"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "there is no GPU here: nothing was measured\n")


def test_every_preset_of_the_benchmark_is_one_run_that_can_be_promoted():
    for name in accuracy.PRESETS:
        preset = spec_file.read(accuracy.SPECS / f"{name}.yaml", [])
        assert preset.promote and len(preset.configs) == 1


def test_one_network_is_trained_on_through_its_rows():
    if idx.SOURCES["fashion_mnist"].missing(Path(os.environ.get("TAILORBIRD_DATA_DIR", "/nowhere"))):
        pytest.skip("needs Fashion-MNIST: set TAILORBIRD_DATA_DIR to a folder with FashionMNIST/raw")
    command = [sys.executable, "-m", "benchmarks.trained_on", "--quick"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = [line.rsplit(maxsplit=3) for line in result.stdout.splitlines()]
    assert [row[0].strip() for row in rows] == [
        f"Model3, {loss}, {optimizer}" for loss in ("cross entropy", "BCE") for optimizer in ("Adam", "SGD", "RMSprop")
    ]
    assert float(rows[1][1]) < float(rows[0][1])
