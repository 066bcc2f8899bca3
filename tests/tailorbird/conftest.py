"""What the tests of the front door share: commands as a user types them, in an empty home."""

import os
import subprocess
import sys
import urllib.request
from types import SimpleNamespace

import pytest

from tailorbird import cli
from tailorbird.settings import PREFIX


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    """Two trained models in a registry, and files that they have not seen: `tests.trained.build`."""
    from tests import trained

    return trained.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def tailorbird(tmp_path, monkeypatch, capsys):
    """Runs `tailorbird …` in this process, where what it imports is imported already; returns what came of it."""
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(urllib.request, "_opener", None)  # which keeps the proxies of the environment it was made in

    def run(*words, **environment):
        for name, value in {PREFIX + "HOME": str(tmp_path / "home"), "COLUMNS": "160", **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["tailorbird", *map(str, words)])
        capsys.readouterr()
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        output = capsys.readouterr()
        return SimpleNamespace(returncode=status, stdout=output.out, stderr=output.err)

    return run


@pytest.fixture
def started(tmp_path):
    """Starts `tailorbird …` in a process of its own, and ends it where the test did not."""
    processes = []

    def start(*words, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith((PREFIX, "RAY_"))}
        clean |= {PREFIX + "HOME": str(tmp_path / "home"), "COLUMNS": "160", **environment}
        command = [sys.executable, "-m", "tailorbird", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, cwd=tmp_path, env=clean, text=True, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def tailorbird_process(started):
    """Runs `tailorbird …` in a process of its own to its end."""

    def run(*words, **environment):
        process = started(*words, **environment)
        stdout, stderr = process.communicate()
        return SimpleNamespace(returncode=process.returncode, stdout=stdout, stderr=stderr)

    return run
