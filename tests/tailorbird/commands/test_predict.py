import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from tests.trained import IMAGES
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def predict(tailorbird, house):
    """Runs `tailorbird predict …` where the trained models are registered."""
    return lambda *words: tailorbird("predict", *words, TAILORBIRD_HOME=str(house.settings.home))


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_images_becomes_a_table(predict, house, tmp_path):
    done = predict(house.images, "--model", "digits", "--out", tmp_path / "p.csv")
    assert (done.returncode, done.stdout) == (0, f"{IMAGES} predictions: {tmp_path / 'p.csv'}\n"), done.stderr
    table = rows(tmp_path / "p.csv")
    files = sorted(house.images.rglob("*.png"))
    assert [row["file"] for row in table] == [str(path) for path in files] and len(table) == IMAGES
    assert all(row["confidence"] == row[f"probability_{row['label']}"] for row in table)


def test_a_table_becomes_a_table(predict, house, tmp_path):
    assert predict(house.table, "--model", "cells@champion", "--out", tmp_path / "p.parquet").returncode == 0
    table = parquet.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["row"] for row in table] == [f"line {n}" for n in range(2, len(house.rows) + 2)]
    truths = [house.cells.classes[index] for index in house.cells.test.targets]
    assert np.mean([row["label"] == truth for row, truth in zip(table, truths, strict=True)]) > 0.85


def test_what_cannot_be_read_is_listed_at_the_end_and_everything_else_answered(predict, house, tmp_path):
    shutil.copytree(house.images, tmp_path / "images")
    (tmp_path / "images" / "00.png").write_bytes(b"poem")
    (tmp_path / "images" / "notes.md").write_text("poem")
    done = predict(tmp_path / "images", "--model", "digits", "--out", tmp_path / "p.csv")
    assert done.returncode == 1 and len(rows(tmp_path / "p.csv")) == IMAGES - 1
    assert done.stderr.splitlines() == [
        "1 other files were skipped",
        f"{tmp_path / 'images' / '00.png'}: is not a PNG, JPEG or WebP image",
        "error: 1 could not be read; all others were predicted",
    ]


def test_without_a_file_there_is_a_line_for_each(predict, house):
    first = sorted(house.images.glob("*.png"))[0]
    done = predict(first, "--model", "digits:1")
    assert done.returncode == 0 and done.stdout.startswith(f"{first}: ") and done.stdout.endswith("%)\n")


def test_json_is_one_record(predict, house, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"poem")
    done = predict(house.images, tmp_path / "broken.png", "--model", "digits", "--json")
    record = json.loads(done.stdout)
    assert done.returncode == 1 and (record["model"], record["version"], record["answered"]) == ("digits", 1, IMAGES)
    assert [one["source"] for one in record["unreadable"]] == [str(tmp_path / "broken.png")]
    first = record["predictions"][0]
    assert first["probabilities"][first["label"]] == first["confidence"] and len(first["probabilities"]) == 10
    done = predict(house.table, "--model", "cells", "--json", "--out", tmp_path / "p.csv")
    assert json.loads(done.stdout)["out"] == str(tmp_path / "p.csv") and "predictions" not in json.loads(done.stdout)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nowhere", "--model", "digits"], "nowhere: there is no such file or folder"),
        (
            [".", "--model", "digits"],
            "FILE|DIR: . holds no file whose name ends in .png, .jpg, .jpeg, .jpe, .jfif, .webp",
        ),
        ([".", "--model", "nobody"], "model: there is no model 'nobody'"),
        ([".", "--model", "digits", "--out", "p.xlsx"], "--out: must end in .csv or .parquet"),
        ([".", "--model", "digits", "--url", "http://127.0.0.1:3000"], "--url: cannot be combined with --model"),
        ([".", "--url", "nonsense"], "--url: must be a URL as http://127.0.0.1:3000, not 'nonsense'"),
    ],
)
def test_wrong_input_is_one_sentence(predict, words, problem):
    done = predict(*words)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {problem}") and done.stderr.count("\n") == 1


def test_torch_is_not_needed(house, tmp_path):
    script = (
        "import sys; from tailorbird.cli import app\n"
        f"try: app(['predict', {str(house.images)!r}, '--model', 'digits'])\n"
        "finally: assert not {'torch', 'ray', 'bentoml'} & sys.modules.keys()"
    )
    environment = {**os.environ, "TAILORBIRD_HOME": str(house.settings.home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0 and done.stdout.count("\n") == IMAGES, done.stderr


def test_an_endpoint_gives_the_same_answers(predict, started, house, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    home = {"TAILORBIRD_HOME": str(house.settings.home), "TAILORBIRD_DRAIN_SECONDS": "0"}
    server = started("serve", "digits", "--port", port, **home)

    def ready():
        assert server.poll() is None, server.communicate()
        with urllib.request.urlopen(f"{url}/readyz", timeout=1):
            return True

    wait_for(ready)
    assert predict(house.images, "--url", url, "--out", tmp_path / "remote.csv").returncode == 0
    assert predict(house.images, "--model", "digits", "--out", tmp_path / "local.csv").returncode == 0
    assert (tmp_path / "remote.csv").read_text() == (tmp_path / "local.csv").read_text()
    server.send_signal(signal.SIGTERM)
    server.communicate()
