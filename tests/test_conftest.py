import os
import subprocess
import sys
from pathlib import Path

SUITE = """
import pytest

def test_runs():
    pass

def test_skips():
    pytest.skip("no database here")

@pytest.mark.xfail
def test_is_expected_to_fail():
    raise AssertionError
"""


def outcome(folder, no_skips):
    (folder / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "test_module.py").write_text("import pytest\npytest.importorskip('no_such_package')\n")
    options = ["-q", "--color=no", "--continue-on-collection-errors", "-p", "no:cacheprovider", "--rootdir", folder]
    environment = os.environ | {"TAILORBIRD_TEST_NO_SKIPS": no_skips}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, folder], env=environment, cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout


def test_skips_are_skips_by_default(tmp_path):
    status, output = outcome(tmp_path, no_skips="")
    assert status == 0
    assert "1 passed, 2 skipped, 1 xfailed" in output


def test_a_skip_of_a_test_or_a_module_can_be_made_a_failure_with_its_reason(tmp_path):
    status, output = outcome(tmp_path, no_skips="1")
    assert status == 1
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in output
    assert "no database here" in output and "no_such_package" in output
