"""Whole sweeps as a user starts them: processes of their own, a real Ray, a real registry."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from registry import ledger, verification, versions
from registry.core import Registry
from tailorbird.settings import PREFIX, Settings
from tests import stores, sweeps
from tests.ports import free_port
from tests.waiting import BOUND_SECONDS, wait_for
from training.config import Objective
from tuning import spec as specs
from tuning.outcome import rank
from tuning.report.results import kept

SCRIPT = "tuning/sweep.py"
DIVERGING = {"optimizer": {"name": "sgd", "lr": 100.0, "weight_decay": 100.0}, "schedule": {"name": "constant"}}


@pytest.fixture
def spec_file(tmp_path, raw_spec):
    def write(**changes):
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump({**raw_spec, **changes}))
        return path

    return write


def ended(process):
    out, err = process.communicate()
    return process.returncode, out, err


def test_an_interrupted_sweep_registers_nothing_and_leaves_nothing_running(start, spec_file, settings, scratch):
    spec = spec_file(trials=200, scheduler="none")
    process = start(SCRIPT, spec, TMPDIR=str(scratch))
    family = _wait_for_reports(process, settings)
    process.send_signal(signal.SIGINT)  # the others: tests/tuning/test_stop.py, and a long test of faults/sweeps
    status, _, err = ended(process)
    assert status == 130
    assert "was interrupted and registered nothing; resume it with `tailorbird sweep --resume tiny-" in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(family, timeout=BOUND_SECONDS)
    assert alive == []
    assert list(scratch.iterdir()) == []
    with Registry(settings) as registry:
        (sweep,) = ledger.sweeps(registry)
        trials = ledger.trials(registry, sweep.id)
        assert sweep.status == "interrupted"
        assert sweep.ended
        assert versions.page(registry) == []
    assert {trial.status for trial in trials} <= {"finished", "interrupted", "pending", "paused"}
    whole = [trial for trial in trials if trial.status == "finished"]
    assert whole
    assert all(len(trial.reports) == trial.config["epochs"] for trial in whole)


@pytest.mark.long
def test_a_sweep_of_another_release_goes_on_with_the_configs_in_the_ledger(start, settings, raw_spec):
    del raw_spec["promote"]
    raw_spec["space"] = {"epochs": {"choice": [1, 2]}}
    configs = [config.model_dump(mode="json") for config in specs.parse({**raw_spec, "trials": 2}).configs]
    stored = {**raw_spec, "trials": 2, "run": {**raw_spec["run"], "a_key_of_old": True}}
    with Registry(settings) as registry:
        sweeps.begin(registry, "tiny-1", stored, configs)
        sweeps.end(registry, "tiny-1", "interrupted")
        status, _, err = ended(start(SCRIPT, "--resume", "tiny-1"))
        assert status == 0, err
        assert ledger.sweep(registry, "tiny-1").status == "finished"
        assert [trial.status for trial in ledger.trials(registry, "tiny-1")] == ["finished"] * 2


def test_a_wrong_spec_is_refused_before_anything_starts(start, spec_file, tmp_path):
    status, out, err = ended(start(SCRIPT, spec_file(), "--set", "space.optimizer.lr={choice: [0]}"))
    assert (status, out) == (2, "")
    assert err == "error: space.optimizer.lr: must be greater than 0, not 0\n"
    assert not (tmp_path / "home").exists()


def test_ray_job_submit_ends_succeeded_with_a_promoted_version_and_keeps_nothing_on_the_machines_of_the_cluster(
    spec_file, settings, postgres, request, tmp_path
):
    """As on any Ray cluster: a head with a token, a job with a copied working directory and its own settings."""
    shared = {"database_url": postgres.database(), "storage_url": stores.storage("s3", request)}
    root = Path(__file__).resolve().parents[2]
    binaries = Path(sys.executable).parent
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TAILORBIRD_"))} | {
        "PATH": f"{binaries}:{os.environ['PATH']}", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip
    work = _copied(root, tmp_path / "work", spec_file())
    head, dashboard = _head(binaries, environment, tmp_path / "head.log")
    family = []
    try:
        variables = {PREFIX + name.upper(): value for name, value in {"home": str(settings.home), **shared}.items()}
        runtime = {"env_vars": variables}
        submitted = subprocess.run(
            [binaries / "ray", "job", "submit", "--address", f"http://127.0.0.1:{dashboard}", "--working-dir", work,
             "--runtime-env-json", json.dumps(runtime), "--", "python", "tuning/sweep.py", "spec.yaml"],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert submitted.returncode == 0, submitted.stdout + submitted.stderr
        assert "succeeded" in submitted.stdout.lower() + submitted.stderr.lower()
    finally:
        family = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
        head.terminate()
        head.wait()
        _, alive = psutil.wait_procs(family, timeout=BOUND_SECONDS)
        for process in alive:
            process.kill()
    with Registry(Settings(home=settings.home, **shared, _env_file=None)) as registry:
        champion = versions.resolve(registry, "tiny@champion")
        assert str(champion) == "tiny:1"
        assert verification.verify(registry, champion) == []
        (sweep,) = ledger.sweeps(registry)
        trials = ledger.trials(registry, sweep.id)
        assert (sweep.status, sweep.registered) == ("finished", 1)
        best, taken = rank(trials, Objective())[0].trial, trials[champion.lineage.trial - 1]
        assert taken.answers and best.answers and taken.status == "finished"
        assert registry.blobs.holds(kept(taken).checkpoint)
    assert [trial.number for trial in trials] == [1, 2, 3, 4]
    for trial in trials:
        assert trial.status in ("finished", "paused")
        assert [report.epoch for report in trial.reports] == list(range(1, len(trial.reports) + 1))
        assert (len(trial.reports) == trial.config["epochs"]) == (trial.status == "finished")
        assert trial.reports[0].checkpoint
    assert not [path for path in settings.home.rglob("*") if path.is_file()]


OWN = """
import math
from torch import nn

def net(shape, outputs, width):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), width), nn.Tanh(), nn.Linear(width, outputs))
"""


DEATH = """
import os
import ray

def death(shape, outputs):
    if ray.is_initialized() and ray.get_runtime_context().get_actor_id():  # not where the sweep is checked
        os.kill(os.getpid(), 9)
    return net(shape, outputs, 8)
"""


def test_a_study_of_the_users_own_models_goes_on_where_trials_fail_and_measures_the_test_split_of_the_others(
    start, tmp_path, settings, scratch
):
    (tmp_path / "mine.py").write_text(OWN + DEATH)
    own = {"family": "custom", "function": "mine:net", "arguments": {"width": 24}}
    study = {
        "name": "study",
        "data": {"name": "digits", "validation": 0.2, "holdout": 0},
        "run": {"epochs": 40, "measure_every": 2, "early_stopping": {"patience": 3}, "optimizer": {"lr": 0.01}},
        "runs": [
            {"name": "own", "model": own, "reference": {"test_accuracy": 0.9}},
            {"name": "linear", "model": {"family": "linear"}},
            {"name": "dead", "model": {"family": "custom", "function": "mine:death"}},
            {"name": "diverging", "model": {"family": "mlp", "width": 32}, **DIVERGING},
        ],
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    status, out, err = ended(
        start("-m", "tailorbird", "sweep", "study.yaml", "--json", cwd=tmp_path, TMPDIR=str(scratch))
    )
    assert status == 0, err
    assert list(scratch.iterdir()) == []
    with Registry(settings) as registry:
        (sweep,) = ledger.sweeps(registry)
        *trials, dead, diverging = ledger.trials(registry, sweep.id)
    record = json.loads(out)
    assert (record["sweep"], record["registered"], sweep.registered) == (sweep.id, None, None)
    assert [trial.status for trial in trials] == ["finished"] * 2
    for trial in trials:
        assert [report.epoch for report in trial.reports] == list(range(2, 2 * len(trial.reports) + 1, 2))
        assert len(trial.reports) < 20 and not any("test_accuracy" in report.metrics for report in trial.reports[:-1])
        last = trial.reports[-1].metrics
        assert min(last["test_accuracy"], last["fit_accuracy"], last["val_accuracy"]) > 0.85
        assert {"test_loss", "test_nll", "test_calibration_error", "fit_loss"} <= last.keys()
    assert dead.status == "failed"
    assert dead.problem.startswith("its process was killed; if its node ran out of memory, try fewer trials at a time")
    assert f"trial 3: {dead.problem}" in err  # no terminal: lines for trials, on standard error beside the JSON
    assert diverging.status == "failed"
    assert re.match(r"the loss is NaN or infinite in step .*; lower optimizer\.lr", diverging.problem)
    assert f"trial 4: {diverging.problem}" in err and "trial 4/4 failed" in err


def _wait_for_reports(process, settings):
    """Wait until a trial has finished; returns every process that the sweep has started."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        if (settings.home / "tailorbird.db").exists():
            with Registry(settings) as registry:
                for sweep in ledger.sweeps(registry):
                    if any(trial.status == "finished" for trial in ledger.trials(registry, sweep.id)):
                        return psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.3)
    raise AssertionError("no trial finished in time")


def _head(binaries, environment, log):
    """The head of a Ray cluster, and the port of its dashboard; now and then a head ends while it starts."""
    for _ in range(3):
        gcs, dashboard, agent = (free_port() for _ in range(3))
        ports = ["--port", gcs, "--dashboard-port", dashboard, "--dashboard-agent-listen-port", agent]
        others = ["--num-cpus", 2, "--temp-dir", f"/tmp/tbr-{os.getpid()}", "--object-store-memory", 2**28]
        command = [binaries / "ray", "start", "--head", "--block", *ports, *others, "--disable-usage-stats"]
        with log.open("ab") as output:
            head = subprocess.Popen([*map(str, command)], env=environment, stdout=output, stderr=output)
        wait_for(lambda head=head, port=dashboard: head.poll() is not None or _is_open(port))
        if head.poll() is None:
            return head, dashboard
    raise AssertionError(log.read_text())


def _is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _copied(root, folder, spec):
    for name in ("tailorbird", "training", "tuning", "registry"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(spec, folder / "spec.yaml")
    return folder
