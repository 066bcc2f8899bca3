"""What holds for every test: with TAILORBIRD_TEST_NO_SKIPS=1, as in CI, a skipped test is a failure."""

import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

from tests import memory
from tests import s3 as s3_server

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")

if folder := memory.folder():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folder)  # of `tmp_path`

# A fork inherits what a test has patched; a test closes its own registry before it forks.
PROCESSES = multiprocessing.get_context("fork")

SLOWEST = (
    "tuning/test_sweep.py",
    "faults/sweeps",
    "tailorbird/commands/test_demo.py",
    "test_benchmarks.py",
    "faults/serving",
    "faults/test_registry.py",
    "faults/test_races.py",
    "tailorbird/commands/test_drill.py",
    "tailorbird/commands/test_train.py",
    "registry/test_sequences.py",
    "serving/test_pages.py",
    "tuning/report/test_page.py",
)
"""Files and folders whose tests take seconds each: they come first, so that the last of two workers does not begin
with a minute of work when the other one is done."""

NO_SKIPS = os.environ.get("TAILORBIRD_TEST_NO_SKIPS") == "1"


@pytest.fixture
def scratch():
    """A folder for temporary files, with a path short enough for Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the tests' own: `tests.postgres.Server`."""
    from tests import postgres as postgresql

    if postgresql.binaries() is None:
        pytest.skip("needs PostgreSQL: initdb and pg_ctl")
    with postgresql.server() as started:
        yield started


@pytest.fixture(scope="session")
def s3():
    """The URL of a server that speaks S3, for `tests.s3.use`."""
    with s3_server.server() as url:
        yield url


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
        s3_server.watch(step)
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slowest = [Path(__file__).parent / name for name in SLOWEST]
    items.sort(key=lambda item: not any(item.path.is_relative_to(path) for path in slowest))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return fail_if_skipped(report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return fail_if_skipped(report)


def fail_if_skipped(report):
    # an expected failure is reported as a skip too, and is none
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr[2]} (TAILORBIRD_TEST_NO_SKIPS=1 allows no skips)"
    return report
