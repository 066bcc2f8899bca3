import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent
# the make that runs these tests must not speak to the one that is tested
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


@pytest.fixture
def clone(tmp_path):
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines():
        if (ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    yield tmp_path
    shutil.rmtree(tmp_path)  # pytest would keep gigabytes of .venv


def make(clone, *arguments):
    return subprocess.run(["make", *arguments], cwd=clone, env=ENVIRONMENT, capture_output=True, text=True)


def test_every_target_is_listed(clone):
    listed = [line.split()[0] for line in make(clone).stdout.splitlines()]
    assert listed == [
        "help",
        "demo",
        "test",
        "check",
        "lint-k8s",
        "e2e",
        "check-long",
        "studies",
        "studies-quick",
        "constraints",
        "clean",
    ]


def test_an_old_python_is_refused_in_one_sentence(clone):
    (clone / "python").write_text(
        "#!/bin/sh\nexit 1\n"
    )  # what any Python before 3.11 answers to the Makefile's question
    (clone / "python").chmod(0o755)
    refused = make(clone, "demo", "PYTHON=./python")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0].startswith("Tailorbird requires Python 3.11 or newer")


def test_the_status_of_a_command_reaches_the_caller(clone):
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/tailorbird").write_text("#!/bin/sh\nexit 3\n")
    (clone / ".venv/bin/tailorbird").chmod(0o755)
    (clone / ".venv/ready-demo").touch()
    failed = make(clone, "demo")
    assert failed.returncode == 2
    assert "Error 3" in failed.stderr


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_set_up_that_was_killed_is_repaired_by_the_next(clone):
    command = ["make", ".venv/ready-demo"]
    with subprocess.Popen(
        command, cwd=clone, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as cut:
        assert any("Installing collected packages" in line for line in cut.stdout)
        wait_for(lambda: list(clone.glob(".venv/lib/python*/site-packages/numpy")))  # amid the packages
        os.killpg(cut.pid, signal.SIGKILL)
    assert not (clone / ".venv/ready-demo").exists()

    repaired = make(clone, ".venv/ready-demo")
    assert repaired.returncode == 0, repaired.stderr
    subprocess.run([".venv/bin/pip", "check"], cwd=clone, check=True, capture_output=True)
    subprocess.run([".venv/bin/python", "-c", "import bentoml, onnx, ray, torch, tailorbird"], cwd=clone, check=True)

    start = time.monotonic()
    assert make(clone, ".venv/ready-demo").returncode == 0
    assert time.monotonic() - start < 30
