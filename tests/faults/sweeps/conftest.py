"""Sweeps over a Ray cluster that stays up, each driven by processes that may be killed or stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from registry import ledger
from registry.core import Registry
from tailorbird.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[3]
HOME = f"/tmp/tbf-{os.getpid()}"
SPEC = {
    "name": "tiny",
    "data": {"name": "digits", "validation": 0.2, "holdout": 0.2},
    "run": {"model": {"family": "mlp"}, "batch_size": 2, "threads": 1},  # however many CPUs a trial is given
    "space": {
        "model.width": {"choice": [16, 32]},
        "model.dropout": {"uniform": [0.0, 0.5]},
        "optimizer.lr": {"loguniform": [1e-4, 1e-2]},
    },
}
KINDS = {
    "lanes": {"trials": 9, "run": {**SPEC["run"], "epochs": 4}, "promote": {"model": "tiny"}},
    "tpe": {"trials": 12, "search": "tpe", "lanes": 2, "run": {**SPEC["run"], "epochs": 4}},
    "halving": {"trials": 7, "lanes": 1, "run": {**SPEC["run"], "epochs": 4}},
    "alone": {"trials": 6, "scheduler": "none", "lanes": 1, "run": {**SPEC["run"], "epochs": 3}},
}
"""By what is special about each."""


def clean_environment():
    environment = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "RAY_"))}
    return environment | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class Head:
    """A Ray cluster of 4 CPUs, and the environment that reaches it."""

    address: str
    environment: dict[str, str]


@pytest.fixture(scope="session")
def head():
    script = (
        "import ray, sys\n"
        "context = ray.init('local', num_cpus=4, include_dashboard=False, object_store_memory=2**28, "
        f"_temp_dir={HOME!r}, log_to_driver=False)\n"
        "print(context.address_info['gcs_address'], flush=True)\n"
        "sys.stdin.read()\n"
    )
    environment = clean_environment()
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = process.stdout.readline().strip()
    assert address, "Ray did not start"
    yield Head(address, environment)
    process.stdin.close()
    process.wait(60)
    shutil.rmtree(HOME, ignore_errors=True)


class Sweep:
    """A sweep that a test drives by one process after the other; the ledger is read beside them."""

    def __init__(self, head, folder, spec, settings, prefix=()):
        self.name, self.head, self.folder, self.settings, self.prefix = spec["name"], head, folder, settings, prefix
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{self.name}.yaml"
        self.path.write_text(yaml.safe_dump(spec))
        self.registry = Registry(settings)
        self.processes = []

    def drive(self, **changes):
        """Start a driver, with other settings, or other arguments of Popen, where they are given."""
        return self.start(str(ROOT / "tuning/sweep.py"), str(self.path), "--id", self.name, **changes)

    def extend(self, *words):
        return self.start("-m", "tailorbird", "sweeps", "extend", self.name, *words)

    def start(self, *words, **changes):
        own = {"home": self.settings.home, "database_url": self.settings.database, "storage_url": self.settings.storage}
        more = {name: changes.pop(name) for name in list(changes) if name.startswith("lease")}
        environment = {PREFIX + name.upper(): str(value) for name, value in (own | more).items()}
        process = subprocess.Popen(
            [*self.prefix, sys.executable, *words, "--address", self.head.address],
            **{
                "cwd": ROOT,
                "env": self.head.environment | environment | changes.pop("env", {}), "text": True,
                "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **changes,
            },
        )  # fmt: skip
        self.processes.append(process)
        return process

    def finish(self):
        """Drive it to its end."""
        status, out = ended(self.drive())
        assert status == 0, out
        return self.table()

    def table(self):
        trials = ledger.trials(self.registry, self.name)
        return [(trial.number, trial.status, trial.config, trial.group, trial.basis, curve(trial)) for trial in trials]

    def reports(self):
        if not ledger.known(self.registry, self.name):
            return 0
        return sum(len(trial.reports) for trial in ledger.trials(self.registry, self.name))

    def standing(self):
        return ledger.sweep(self.registry, self.name).standing

    def wait_for_reports(self, count, process):
        """Until the ledger has so many; whether it has, and the driver has not ended before."""
        return wait_for(lambda: self.reports() >= count, process)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()
        self.registry.close()


@pytest.fixture
def begin(head, tmp_path):
    """Makes a sweep of a kind, or of a spec, which the cluster's workers serve; its home is the test's own."""
    sweeps = []

    def make(kind="lanes", settings=None, cluster=head, prefix=(), **changes):
        spec = {**(SPEC | KINDS[kind] if kind in KINDS else {"data": SPEC["data"]}), "name": kind, **changes}
        folder = tmp_path / f"{kind}-{len(sweeps)}"
        sweeps.append(
            Sweep(cluster, folder, spec, settings or Settings(home=folder / "home", _env_file=None), prefix=prefix)
        )
        return sweeps[-1]

    yield make
    for sweep in sweeps:
        sweep.close()


@pytest.fixture(scope="session")
def whole(head, tmp_path_factory):
    """The table of each kind of sweep, where nothing goes wrong and one worker does it all."""
    tables = {}

    def run(kind):
        if kind not in tables:
            folder = tmp_path_factory.mktemp(kind)
            settings = Settings(home=folder / "home", _env_file=None)
            sweep = Sweep(head, folder, {**SPEC, **KINDS[kind], "name": kind, "resources": {"cpus": 4}}, settings)
            tables[kind] = sweep.finish()
            sweep.close()
        return tables[kind]

    return run


def curve(trial):
    return [
        (report.epoch, {k: v for k, v in report.metrics.items() if k != "seconds"}, report.checkpoint)
        for report in trial.reports
    ]


def wait_for(reached, process, seconds=300):
    end = time.monotonic() + seconds
    while not reached():
        if process.poll() is not None:
            return False
        assert time.monotonic() < end, "it did not come so far in time"
        time.sleep(0.02)
    return process.poll() is None


def ended(process):
    out, _ = process.communicate()
    assert "Traceback" not in (out or ""), out
    return process.returncode, out


def kill(name):
    """Kill processes of Ray of a name, those of this session's cluster."""
    doomed = [process for process in psutil.process_iter(["cmdline", "ppid"]) if _is_named(process, name)]
    for process in doomed:
        process.kill()
    return len(doomed)


def _is_named(process, name):
    if not (process.info["cmdline"] or [""])[0].startswith(name):
        return False
    try:
        return any(HOME in word for word in psutil.Process(process.info["ppid"]).cmdline())
    except psutil.NoSuchProcess:
        return False
