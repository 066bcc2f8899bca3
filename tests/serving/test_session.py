import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from serving.session import MOST_AT_ONCE, Session
from tailorbird.errors import Corrupt
from tailorbird.package.signature import Signature


def opened(toy):
    return Session(toy.onnx(), Signature.parse(toy.files()["signature.json"]))


def images(toy, count):
    return np.random.default_rng(5).integers(0, 256, (count, *toy.shape), np.uint8)


@pytest.mark.parametrize(
    "make", [{}, {"shape": (8, 6, 3), "classes": ("head", "tail")}], ids=["ten classes", "binary, colour"]
)
def test_probabilities(toy, make):
    toy = type(toy).make(**make)
    found = opened(toy).run(images(toy, 2 * MOST_AT_ONCE + 1))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, toy.probabilities(images(toy, 2 * MOST_AT_ONCE + 1)), atol=1e-5)


def test_runs_in_many_threads(toy):
    session, pixels = opened(toy), images(toy, 64)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: session.run(pixels), range(32)))
    assert all(np.array_equal(result, results[0]) for result in results)


def test_says_how_long_an_image_takes(toy):
    assert 0 < opened(toy).seconds < 1


def test_nothing_is_reported_to_anybody(toy, tmp_path):
    files = {"model.onnx": toy.onnx(), "signature.json": toy.files()["signature.json"]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    code = (
        "from pathlib import Path; from serving import session\n"
        "from tailorbird.package.signature import Signature\n"
        "session.Session(Path('model.onnx').read_bytes(), Signature.parse(Path('signature.json').read_bytes()))"
    )
    clean = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=clean, check=True)
    assert {path.name for path in tmp_path.iterdir()} == set(files)  # its device id would lie in .cache


def test_what_does_not_run(toy):
    about = Signature.parse(toy.files()["signature.json"])
    with pytest.raises(Corrupt, match=r"model\.onnx does not run"):
        Session(b"no model", about)
    with pytest.raises(Corrupt, match=r"model\.onnx does not run"):
        Session(type(toy).make(shape=(8, 8)).onnx(), about)


def test_what_does_not_keep_its_signature(toy):
    about = Signature.parse(toy.files()["signature.json"])
    with pytest.raises(Corrupt, match="does not give 10 probabilities"):
        Session(type(toy).make(classes=("a", "b", "c")).onnx(), about)
    with pytest.raises(Corrupt, match="does not give 10 probabilities"):
        Session(replace(toy, weights=toy.weights * np.nan).onnx(), about)
