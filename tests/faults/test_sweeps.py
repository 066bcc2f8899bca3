"""Sweeps whose processes die, or are paused past their lease, come to the same table as those that run through."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from registry import ledger
from registry.core import Registry
from tailorbird.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
SPEC = {
    "name": "tiny",
    "data": {"name": "digits", "validation": 0.2, "holdout": 0.2},
    "run": {"model": {"family": "mlp"}, "batch_size": 2},
    "space": {
        "model.width": {"choice": [16, 32]},
        "model.dropout": {"uniform": [0.0, 0.5]},
        "optimizer.lr": {"loguniform": [1e-4, 1e-2]},
    },
}
KINDS = {
    "lanes": {"trials": 9, "run": {**SPEC["run"], "epochs": 4}},
    "tpe": {"trials": 12, "search": "tpe", "lanes": 2, "run": {**SPEC["run"], "epochs": 4}},
    "alone": {"trials": 6, "scheduler": "none", "lanes": 1, "run": {**SPEC["run"], "epochs": 3}},
}
KILLS = 20
HOME = f"/tmp/tbf-{os.getpid()}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Ray cluster for the whole module; its address, and the environment that reaches it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "RAY_"))}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "RAY_USAGE_STATS_ENABLED": "0"}
    script = (
        "import ray, sys\n"
        "context = ray.init('local', num_cpus=4, include_dashboard=False, object_store_memory=2**28, "
        f"_temp_dir={HOME!r}, log_to_driver=False)\n"
        "print(context.address_info['gcs_address'], flush=True)\n"
        "sys.stdin.read()\n"
    )
    head = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = head.stdout.readline().strip()
    assert address, "Ray did not start"
    yield address, environment, head
    head.stdin.close()
    head.wait(60)
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture
def drive(cluster, tmp_path):
    """Starts the driver of a sweep, which the cluster's workers serve."""
    address, environment, _ = cluster
    started = []

    def start(kind="lanes", seconds=60):
        path = tmp_path / f"{kind}.yaml"
        path.write_text(yaml.safe_dump({**SPEC, **KINDS[kind]}))
        more = {PREFIX + "HOME": str(tmp_path / "home"), PREFIX + "LEASE_SECONDS": str(seconds)}
        process = subprocess.Popen(
            [sys.executable, "tuning/sweep.py", str(path), "--id", kind, "--address", address],
            cwd=ROOT, env=environment | more, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def registry(tmp_path):
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as opened:
        yield opened


def table(registry, kind):
    return [
        (one.number, one.status, one.config, one.group, one.basis, curve(one)) for one in ledger.trials(registry, kind)
    ]


def curve(trial):
    return [
        (one.epoch, {k: v for k, v in one.metrics.items() if k != "seconds"}, one.checkpoint) for one in trial.reports
    ]


@pytest.fixture(scope="module")
def whole(cluster, tmp_path_factory):
    """The table of each kind of sweep, where nothing went wrong."""
    address, environment, _ = cluster
    tables = {}

    def run(kind):
        if kind not in tables:
            folder = tmp_path_factory.mktemp(kind)
            (folder / "spec.yaml").write_text(yaml.safe_dump({**SPEC, **KINDS[kind]}))
            command = [sys.executable, "tuning/sweep.py", str(folder / "spec.yaml"), "--id", kind, "--address", address]
            home = {PREFIX + "HOME": str(folder / "home")}
            subprocess.run(command, cwd=ROOT, env=environment | home, check=True, capture_output=True)
            with Registry(Settings(home=folder / "home", _env_file=None)) as registry:
                tables[kind] = table(registry, kind)
        return tables[kind]

    return run


def reports(registry, kind):
    return sum(len(one.reports) for one in ledger.trials(registry, kind)) if ledger.known(registry, kind) else 0


def wait_for(reached, process, seconds=300):
    end = time.monotonic() + seconds
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it did not come so far in time"
        time.sleep(0.02)


def ended(process):
    out, _ = process.communicate()
    assert "Traceback" not in out, out
    return process.returncode, out


def broken(drive, registry, kind, dice, total):
    """Kill a sweep's driver at a random moment, and let another go on; whether it was killed in time."""
    process = drive(kind)
    wanted = dice.randrange(1, total)
    wait_for(lambda: reports(registry, kind) >= wanted or process.poll() is not None, process)
    process.kill()
    process.communicate()
    assert ledger.sweep(registry, kind).standing == "abandoned"
    return process


def test_a_driver_that_is_killed_is_followed_by_one_that_comes_to_the_same(drive, registry, whole):
    """Also where its writer and its workers are killed under the second one."""
    unbroken = whole("tpe")
    broken(drive, registry, "tpe", random.Random(1), 12)
    process = drive("tpe")
    for name in ("ray::ResourceTrainable", "ray::LedgerWriter"):
        before = reports(registry, "tpe")
        wait_for(lambda before=before: reports(registry, "tpe") > before, process)
        kill(name)
    status, out = ended(process)
    assert status == 0, out
    assert table(registry, "tpe") == unbroken


@pytest.mark.long
def test_a_driver_that_is_paused_past_its_lease_finds_itself_replaced(drive, registry, whole):
    paused = drive("lanes", seconds=2)
    wait_for(lambda: reports(registry, "lanes") >= 2, paused)
    paused.send_signal(signal.SIGSTOP)
    refused = drive("lanes", seconds=2)
    status, out = ended(refused)
    if status:  # it came before the lease had run out
        assert "error: sweep lanes is run by process" in out
        wait_for(lambda: ledger.sweep(registry, "lanes").standing == "abandoned", paused)
        status, out = ended(drive("lanes", seconds=2))
    assert status == 0, out
    paused.send_signal(signal.SIGCONT)
    status, out = ended(paused)
    assert status == 1
    assert "error: sweep lanes " in out.splitlines()[-1] and "its last reports were not accepted" in out
    assert table(registry, "lanes") == whole("lanes")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_twenty_kills(drive, registry, whole, tmp_path):
    dice = random.Random(0)
    killed = 0
    while killed < KILLS:
        for kind in KINDS:
            unbroken = whole(kind)
            for _ in range(3):
                broken(drive, registry, kind, dice, sum(len(one[-1]) for one in unbroken))
                killed += 1
            status, out = ended(drive(kind))
            assert status == 0, out
            assert table(registry, kind) == unbroken
            (tmp_path / "home" / "tailorbird.db").unlink()


def kill(name):
    """Kill processes of Ray of a name, those of this module's cluster."""
    found = [one for one in psutil.process_iter(["cmdline", "ppid"]) if _named(one, name)]
    assert found, f"no {name}"
    for process in found:
        process.kill()


def _named(process, name):
    if not (process.info["cmdline"] or [""])[0].startswith(name):
        return False
    with suppress(psutil.NoSuchProcess):
        return any(HOME in word for word in psutil.Process(process.info["ppid"]).cmdline())
    return False
