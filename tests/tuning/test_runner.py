from contextlib import contextmanager

import pytest
import ray
from rich.console import Console

from registry import leases, ledger, versions
from registry.core import Registry
from registry.ledger import Change
from tailorbird.errors import InvalidInput, Irreproducible, SweepChanged, TailorbirdError
from tests import sweeps
from tuning import cluster, extension, runner, spec
from tuning.execution import Execution
from tuning.processor import processor

KINDS = {
    "digits_multilabel": "data: the registry accepts multiclass and binary models; this one is multilabel",
    "diabetes": "data: the registry accepts multiclass and binary models; this one is regression; if",
}


@pytest.mark.parametrize(
    ("changes", "who", "problem"),
    [
        *(({"data": {"name": name, "holdout": 20}}, "ann", problem) for name, problem in KINDS.items()),
        ({}, "x" * 129, "--who: has 129 characters; accepted: at most 128"),
        ({"data": {"name": "digits", "holdout": 5000}}, "ann", "data.holdout: "),
        (
            {"run": {"model": {"family": "cnn"}}, "space": {"model.depth": {"choice": [1, 4]}}},
            "ann",
            "space.model.depth: 4 blocks halve 8x8 pixels to nothing",
        ),
    ],
)
def test_what_cannot_be_trained_or_registered_is_refused_before_ray_starts(raw_spec, settings, changes, who, problem):
    loss = {"metric": "val_loss", "mode": "min"}
    checked = spec.parse({**raw_spec, **changes, "objective": loss, "scheduler": "none"})
    with pytest.raises(InvalidInput) as refused:
        runner.Driver(settings, Console(quiet=True), who).run(checked)
    assert str(refused.value).startswith(problem)
    assert not settings.home.exists()


@pytest.fixture
def without_ray(monkeypatch, tmp_path):
    """A driver finds a Ray of two CPUs, on which nothing runs."""

    @contextmanager
    def connected(*_):
        yield tmp_path

    monkeypatch.setattr(cluster, "connected", connected)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})


def test_a_trial_that_fits_no_node_is_refused(raw_spec, settings, without_ray):
    raw_spec["resources"] = {"cpus": 3}
    with pytest.raises(InvalidInput, match=r"^resources.cpus: a trial needs 3 CPUs, and the Ray cluster has 2"):
        runner.Driver(settings, Console(quiet=True), "ann").run(spec.parse(raw_spec))


def test_a_sweep_without_a_single_good_trial_fails_with_the_reason_of_one(raw_spec, settings, without_ray, monkeypatch):
    def all_fail(self, lease, *_):
        with Registry(settings) as registry:
            for trial in ledger.trials(registry, lease.sweep):
                ledger.enter(registry, lease, [Change(trial.number, "running")])
                ledger.enter(registry, lease, [Change(trial.number, "failed", "lower optimizer.lr")])
        return True

    monkeypatch.setattr(Execution, "_search", all_fail)
    with pytest.raises(TailorbirdError, match=r"^no trial of tiny-1 succeeded: trial 1: lower optimizer.lr$"):
        runner.Driver(settings, Console(quiet=True), "ann").run(spec.parse(raw_spec), "tiny-1")
    with Registry(settings) as registry:
        assert ledger.sweep(registry, "tiny-1").status == "failed"
        assert versions.page(registry) == []


def test_a_sweep_of_another_kind_of_processor_is_not_resumed(raw_spec, settings, without_ray):
    raw_spec["run"]["precision"] = "fp32"
    checked = spec.parse(raw_spec)
    plain = [config.model_dump(mode="json") for config in checked.configs]
    with Registry(settings) as registry:
        sweeps.begin(registry, "tiny-1", checked.plain(), plain, processor="torch 2.0.0, DEFAULT")
        sweeps.end(registry, "tiny-1", "interrupted")
        before = ledger.sweep(registry, "tiny-1")
    driver = runner.Driver(settings, Console(quiet=True), "ann")
    problem = f"tiny-1 was started with torch 2.0.0, DEFAULT, and this machine has {processor()}: it cannot be resumed "
    for resume in (lambda: driver.resume("tiny-1"), lambda: driver.run(checked, "tiny-1")):
        with pytest.raises(Irreproducible) as refused:
            resume()
        assert str(refused.value).startswith(problem)
    with Registry(settings) as registry:
        assert ledger.sweep(registry, "tiny-1") == before


def test_a_sweep_that_is_extended_while_its_data_loads_is_not_resumed_with_its_old_spec(
    raw_spec, settings, without_ray, monkeypatch, tmp_path
):
    checked = spec.parse(raw_spec)
    with Registry(settings) as registry:
        sweeps.begin(registry, "tiny-1", checked.plain(), [run.model_dump(mode="json") for run in checked.configs])
        sweeps.end(registry, "tiny-1", "interrupted")

    @contextmanager
    def connected(*_):
        with Registry(settings) as registry:
            extension.add_trials(registry, "tiny-1", 3, 60, "grace")
        yield tmp_path

    monkeypatch.setattr(cluster, "connected", connected)
    with pytest.raises(SweepChanged):
        runner.Driver(settings, Console(quiet=True), "ada").resume("tiny-1")
    with Registry(settings) as registry:
        sweep = ledger.sweep(registry, "tiny-1")
    assert (sweep.spec["trials"], sweep.status) == (checked.trials + 3, "interrupted")


def test_an_extended_sweep_is_resumed_with_the_spec_that_it_was_started_with(raw_spec, settings, monkeypatch):
    raw_spec["run"]["precision"] = "fp32"
    checked = spec.parse(raw_spec)
    plain = [config.model_dump(mode="json") for config in checked.configs]
    with Registry(settings) as registry:
        sweeps.begin(registry, "tiny-1", checked.plain(), plain)
        sweeps.end(registry, "tiny-1", "finished")
        extension.add_trials(registry, "tiny-1", 2, 60, "ada")
    monkeypatch.setattr(runner.Driver, "_driven", lambda self, resumed, *_: resumed.trials)
    driver = runner.Driver(settings, Console(quiet=True), "ann")
    assert driver.run(checked, "tiny-1") == 6
    assert driver.run(spec.parse({**raw_spec, "trials": 6}), "tiny-1") == 6
    for key, value in (("trials", 5), ("seed", 1)):
        problem = f"--id: tiny-1 already exists with another value of {key}; choose another name"
        with pytest.raises(InvalidInput, match=problem):
            driver.run(spec.parse({**raw_spec, key: value}), "tiny-1")


def test_a_cancelled_sweep_is_resumed_only_on_purpose(raw_spec, settings, monkeypatch):
    raw_spec["run"]["precision"] = "fp32"
    checked = spec.parse(raw_spec)
    with Registry(settings) as registry:
        sweeps.begin(registry, "tiny-1", checked.plain(), [run.model_dump(mode="json") for run in checked.configs])
        leases.cancel(registry, "tiny-1", "grace")
    monkeypatch.setattr(runner.Driver, "_driven", lambda self, resumed, *_: resumed)
    driver = runner.Driver(settings, Console(quiet=True), "ada")
    with pytest.raises(InvalidInput) as refused:
        driver.run(checked, "tiny-1")
    way = "continue it with `tailorbird sweep --resume tiny-1`, or choose another name"
    assert str(refused.value) == f"--id: tiny-1 was cancelled by grace; {way}"
    assert driver.resume("tiny-1") == checked
