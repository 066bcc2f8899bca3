"""What the tests of tuning share: settings of an empty home, small specs, one local Ray."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tailorbird.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.startswith((PREFIX, "RAY_ADDRESS")):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def raw_spec():
    """A small valid spec as plain data."""
    return {
        "name": "tiny",
        "data": {"name": "digits", "validation": 0.2, "holdout": 0.2},
        "run": {"model": {"family": "mlp"}, "batch_size": 64, "schedule": {"name": "one_cycle"}},
        "space": {
            "model.depth": {"choice": [1, 2]},
            "model.width": {"choice": [16, 32]},
            "optimizer.lr": {"loguniform": [1e-3, 1e-2]},
            "epochs": {"choice": [3, 6]},
        },
        "trials": 4,
        "promote": {"model": "tiny"},
    }


@pytest.fixture
def start(tmp_path):
    """Starts a command in its own process with an empty home; what is still there at the end is killed."""
    started = []

    def run(*command, cwd=ROOT, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith((PREFIX, "RAY_"))}
        clean |= {PREFIX + "HOME": str(tmp_path / "home"), "COLUMNS": "200", **environment}
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=cwd, env=clean, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()
