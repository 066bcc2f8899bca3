"""What the registry's tests share: an empty registry, small packages, and processes that race or die."""

import io
import itertools
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from registry import packages, versions
from registry.core import Registry
from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Export, Parity
from tailorbird.settings import PREFIX, Settings
from tests import s3, stores

# A fork inherits what a test has patched; a test closes its own registry before it forks.
PROCESSES = multiprocessing.get_context("fork")

EXACT = {"agreement": 1.0, "max_difference": 3e-7, "samples": 1000}


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture(params=["embedded", "cluster"])
def make_settings(request, tmp_path):
    """Settings of a new and empty registry at every call: SQLite and a folder; then PostgreSQL and S3."""
    if request.param == "embedded":
        return lambda name="home": Settings(home=tmp_path / name, _env_file=None)
    server, bucket = request.getfixturevalue("postgres"), stores.storage("s3", request)

    def make(name="home"):
        return Settings(
            home=tmp_path / name, database_url=server.database(), storage_url=f"{bucket}/{name}", _env_file=None
        )

    return make


@pytest.fixture
def settings(make_settings):
    return make_settings()


@pytest.fixture
def embedded(tmp_path):
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def registry(settings):
    with Registry(settings) as opened:
        yield opened


@pytest.fixture
def local(embedded):
    """An embedded registry, for what is refused before any backend is asked."""
    with Registry(embedded) as opened:
        yield opened


def heldout(right, samples, confidence):
    """`heldout.npy` of a model that is right on the first `right` of `samples` images of two classes in turn."""
    kind = np.dtype([("id", "u1", (16,)), ("label", "<i4"), ("probabilities", "<f4", (2,))])
    records = np.zeros(samples, kind)
    records["id"] = np.arange(samples * 16).astype("<u4").view("u1").reshape(samples, 64)[:, :16]
    records["label"] = np.arange(samples) % 2
    answers = np.where(np.arange(samples) < right, records["label"], 1 - records["label"])
    records["probabilities"] = np.where(answers[:, None] == [0, 1], confidence, 1 - confidence)
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=False)
    confusion = np.bincount(records["label"] * 2 + answers, minlength=4).reshape(2, 2)
    return buffer.getvalue(), confusion.tolist()


@pytest.fixture(scope="session")
def package_files():
    """Makes the files of a package. They are small, and those that no test looks at are one and the same blob."""

    def make(accuracy=0.9, weights=b"weights", samples=1000, **more):
        signature = {
            "kind": "image", "shape": [28, 28], "dtype": "uint8", "classes": ["cat", "dog"], "columns": None,
            "objective": "binary", "temperature": 1.0,
        }  # fmt: skip
        confidence = max(accuracy - 0.02, 0.52)
        judged, confusion = heldout(round(accuracy * samples), samples, confidence)
        baseline = {
            "accuracy": accuracy,
            "standard_error": 0.01,
            "samples": samples,
            "calibration_error": round(abs(confidence - accuracy), 6),
            "confusion": confusion,
            "bins": {},
            "test": {"accuracy": 0.8, "samples": 50},
        }
        return {
            **dict.fromkeys(packages.REQUIRED, b"the same in every package"),
            "model.onnx": b"a model with " + weights,
            "checkpoint.safetensors": weights,
            "signature.json": json.dumps(signature).encode(),
            "baseline.json": json.dumps(baseline).encode(),
            "heldout.npy": judged,
            **more,
        }

    return make


@pytest.fixture(scope="session")
def register(package_files):
    """Registers a small package that passes its gates, unless told otherwise."""

    def add(registry, model="fashion", *, accuracy=0.9, weights=b"weights", **parity):
        files = package_files(accuracy, weights)
        export = Export(parity=Parity(**{**EXACT, **parity}))
        return versions.register(registry, model, files, export, Lineage(sweep="fashion-1"), who="ada")

    return add


@pytest.fixture(scope="session")
def unlock():
    """Lets rows of a table be changed that are only ever added, as nobody can who has not the database in hand."""

    def drop(registry, table: str) -> None:
        with registry.atomic() as connection:
            if connection.dialect.name == "sqlite":
                for change in ("update", "delete"):
                    connection.exec_driver_sql(f"DROP TRIGGER keep_{table}_{change}")
            else:
                connection.exec_driver_sql(f"DROP TRIGGER keep_{table} ON {table}")

    return drop


@pytest.fixture(scope="session")
def die():
    """Runs an action in a process that is killed with SIGKILL at a step; returns whether it was, and what came of it.

    Steps are the openings of files to write, flushes, changes of names, what comes before and after each request to
    S3, and statements and commits of the database.
    """

    def run(action: Callable[[], object], step: int) -> tuple[bool, object]:
        reader, writer = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=_act, args=(action, step, writer))
        process.start()
        writer.close()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), "the action failed by itself"
        with reader:
            return (False, reader.recv()) if process.exitcode == 0 else (True, None)

    return run


@pytest.fixture(scope="session")
def deaths(die):
    """Runs an action again and again, killed at its 1st, 2nd, … step (see `die`), until it gets through.

    The action gets the number of the step. After each death, and at the end, `check` gets what was acknowledged: None,
    or what the action returned. Of the steps only each `every`-th is taken. Returns how often it died.
    """

    def run(action: Callable[[int], object], check: Callable[[object], None], every: int = 1) -> int:
        for died in itertools.count():
            step = 1 + died * every
            killed, came = die(lambda step=step: action(step), step)
            check(came)
            if not killed:
                return died
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
    if "botocore" in sys.modules:  # a parent that has a bucket has loaded it
        s3.watch(step)
    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, event, step)
    sa.event.listen(sa.pool.Pool, "reset", step)  # right after a commit
    writer.send(action())


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


@pytest.fixture
def steps(monkeypatch):
    """What this process flushes, names and makes, in order, by path."""
    seen = []
    flush, replace, mkdir = os.fsync, os.replace, os.mkdir

    def fsync(descriptor):
        seen.append(("flush", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        flush(descriptor)

    def renamed(source, target):
        seen.append(("name", str(source), str(target)))
        replace(source, target)

    def made(path, *arguments):
        mkdir(path, *arguments)
        seen.append(("make", str(path)))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "mkdir", made)
    return seen
