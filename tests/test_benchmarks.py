import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.datasets import idx

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["registry", "serving", "training"])
def test_a_benchmark_measures_and_writes_its_figures(name, tmp_path):
    if name == "training" and idx.SOURCES["fashion_mnist"].missing(
        Path(os.environ.get("TAILORBIRD_DATA_DIR", "/nowhere"))
    ):
        pytest.skip("needs Fashion-MNIST: set TAILORBIRD_DATA_DIR to a folder with FashionMNIST/raw")
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", str(tmp_path / "figures.json")]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert told.returncode == 0, told.stderr
    record = json.loads((tmp_path / "figures.json").read_text())
    assert record["benchmark"] == name
    assert {"machine", "date", "runs"} <= record.keys()
    for one in [*record["figures"].values(), *record["ratios"].values()]:
        assert 0 < one["low"] <= one["value"] <= one["high"]
    assert all(name in told.stdout for name in record["figures"] | record["ratios"])


def test_every_benchmark_is_tested():
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "report.tell(" in path.read_text()}
    assert scripts == {"registry", "serving", "training"}
