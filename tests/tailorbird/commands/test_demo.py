"""The demo as a user starts it, on real data and, with nothing to be downloaded, on the digits."""

import os
import re
from pathlib import Path

import psutil
import pytest

from registry import versions
from registry.core import Registry
from tailorbird.settings import PREFIX, Settings

NOWHERE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}


def test_without_data_the_demo_runs_on_digits_to_the_end_and_leaves_nothing(tailorbird_process, tmp_path, scratch):
    result = tailorbird_process("demo", TMPDIR=str(scratch), **NOWHERE)
    assert result.returncode == 0, result.stderr
    assert "cannot be downloaded" in result.stdout
    assert "using the digits of scikit-learn instead" in result.stdout
    assert "every file verified" in result.stdout
    assert len(re.findall(r"^ *test \d+ ", result.stdout, re.MULTILINE)) == 10
    assert "10 true labels accepted as feedback" in result.stdout
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        champion = versions.resolve(registry, "demo-digits@champion")
    assert champion.evidence.test.accuracy >= 0.95
    assert list(scratch.iterdir()) == []
    assert [process for process in psutil.process_iter() if _is_of(process, tmp_path / "home")] == []
    assert not (tmp_path / "home" / "tailorbird.db-wal").exists()


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_demo_on_fashion_mnist_beats_the_notes(tailorbird_process, tmp_path):
    data = os.environ.get(PREFIX + "DATA_DIR")
    if not data or not (Path(data) / "FashionMNIST").exists():
        pytest.skip("needs Fashion-MNIST: set TAILORBIRD_DATA_DIR")
    result = tailorbird_process("demo", **{PREFIX + "DATA_DIR": data})
    assert result.returncode == 0, result.stderr
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        champion = versions.resolve(registry, "demo@champion")
    assert champion.evidence.test.accuracy >= 0.895


def _is_of(process, home):
    try:
        return process.environ().get(PREFIX + "HOME") == str(home)
    except psutil.Error:
        return False
