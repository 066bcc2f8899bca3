"""What the registry's tests share: an empty registry, small packages, and processes that race or die."""

import itertools
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry import packages, versions
from registry.core import Registry
from tailorbird.settings import PREFIX, Settings

# A fork inherits what a test has patched; a test closes its own registry before it forks.
PROCESSES = multiprocessing.get_context("fork")

EXACT = {"agreement": 1.0, "max_difference": 3e-7, "samples": 100}


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def registry(settings):
    with Registry(settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def package_files():
    """Makes the files of a package. They are small, and those that no test looks at are one and the same blob."""

    def make(accuracy=0.9, weights=b"weights", **more):
        signature = {"kind": "image", "shape": [28, 28], "dtype": "uint8", "classes": ["cat", "dog"]}
        baseline = {"accuracy": accuracy, "standard_error": 0.01, "samples": 100, "test": {"accuracy": 0.8}}
        return {
            **dict.fromkeys(packages.REQUIRED, b"the same in every package"),
            "model.onnx": b"a model with " + weights,
            "checkpoint.safetensors": weights,
            "signature.json": json.dumps(signature).encode(),
            "baseline.json": json.dumps(baseline).encode(),
            **more,
        }

    return make


@pytest.fixture(scope="session")
def register(package_files):
    """Registers a small package that passes its gates, unless told otherwise."""

    def add(registry, model="fashion", *, accuracy=0.9, weights=b"weights", **parity):
        files = package_files(accuracy, weights)
        return versions.register(registry, model, files, {**EXACT, **parity}, {"sweep": "fashion-1"}, who="ada")

    return add


@pytest.fixture(scope="session")
def deaths():
    """Runs an action again and again, killed with SIGKILL at its 1st, 2nd, … step, until it gets through.

    Steps are the openings of files to write, flushes, changes of names, and statements and commits of the database.
    After each death, and at the end, `check` gets what was acknowledged: None, or what the action returned. Returns
    how often it died.
    """

    def run(action: Callable[[int], object], check: Callable[[object], None]) -> int:
        for step in itertools.count(1):
            reader, writer = PROCESSES.Pipe(duplex=False)
            process = PROCESSES.Process(target=_act, args=(action, step, writer))
            process.start()
            writer.close()
            process.join()
            assert process.exitcode in (0, -signal.SIGKILL), "the action failed by itself"
            with reader:
                check(reader.recv() if process.exitcode == 0 else None)
            if process.exitcode == 0:
                return step - 1
        raise AssertionError

    return run


def _act(action, fatal, writer):
    steps = itertools.count(1)

    def step(*_):
        if next(steps) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event, arguments):
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.mkdir", "os.rename", "os.remove"):
            step()

    def fsync(descriptor, flush=os.fsync):
        step()
        flush(descriptor)

    os.fsync = fsync
    sys.addaudithook(audit)
    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, event, step)
    sa.event.listen(sa.pool.Pool, "reset", step)  # right after a commit
    writer.send(action(fatal))


@pytest.fixture(scope="session")
def race():
    """Runs an action in many processes that start it at one moment; returns what each returned, or its error."""

    def run(action: Callable[[int], object], racers: int) -> list[object]:
        start = PROCESSES.Barrier(racers)
        results = PROCESSES.SimpleQueue()
        processes = [PROCESSES.Process(target=_race, args=(action, n, start, results)) for n in range(racers)]
        for process in processes:
            process.start()
        came = [results.get() for _ in processes]
        for process in processes:
            process.join()
        return came

    return run


def _race(action, number, start, results):
    start.wait()
    try:
        results.put(action(number))
    except Exception as error:
        results.put(error)


@pytest.fixture(scope="session")
def flip():
    """Flips one bit in the middle of a file."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    return damage
