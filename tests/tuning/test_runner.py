import joblib
import pytest
import torch
from rich.console import Console

from tailorbird.errors import InvalidInput
from training import datasets, memory, splits
from tuning import runner, spec

KINDS = {
    "digits_multilabel": "data: the registry takes multiclass and binary models; this one is multilabel",
    "diabetes": "data: the registry takes multiclass and binary models; this one is regression; where",
}


@pytest.mark.parametrize(
    ("changes", "who", "problem"),
    [
        *(({"data": {"name": name, "holdout": 20}}, "ann", problem) for name, problem in KINDS.items()),
        ({}, "x" * 129, "--who: has 129 characters; accepted: at most 128"),
    ],
)
def test_what_the_registry_would_refuse_is_refused_before_ray_starts(given, settings, changes, who, problem):
    loss = {"metric": "val_loss", "mode": "min"}
    checked = spec.parse({**given, **changes, "objective": loss, "scheduler": "none"})
    with pytest.raises(InvalidInput) as refused:
        runner.Driver(settings, Console(quiet=True), who).run(checked)
    assert str(refused.value).startswith(problem)
    assert not settings.home.exists()


@pytest.mark.parametrize(("instructions", "taken"), [(["avx512_bf16"], "bf16"), ([], "fp32")])
def test_the_precision_that_the_processor_takes_is_that_of_all_trials_from_then_on(
    given, settings, monkeypatch, instructions, taken
):
    processor = dict.fromkeys(instructions, True)  # whose maker is not asked for
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    given["run"]["device"] = "cpu"
    driver = runner.Driver(settings, Console(quiet=True), "ann")
    checked = spec.parse(given)
    dealt = splits.split(datasets.load(checked.data, None, None), checked.data)
    settled = driver._settled(checked, dealt)
    assert {config.precision for config in settled.configs} == {taken}
    other = {} if instructions else {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: other)
    again = driver._settled(spec.stored(settled.model_dump(mode="json", exclude_none=True)), dealt)
    assert {config.precision for config in again.configs} == {taken}


def test_a_sweep_of_the_ledger_is_prepared_without_making_its_configs_again(given, settings):
    checked = spec.parse(given)
    older = spec.stored({**given, "run": {**given["run"], "a_key_of_old": True}})
    prepared = runner._prepared(older, settings, checked.configs, here=True)
    assert prepared.notes == runner._prepared(checked, settings, None, here=True).notes


def test_trials_that_run_at_once_are_reckoned_together(given, settings, monkeypatch):
    given["resources"] = {"cpus": joblib.cpu_count() / 3, "gpus": 0}
    shared = []
    monkeypatch.setattr(memory, "check", lambda config, dealt, together: shared.append(together))
    checked = spec.parse(given)
    runner._prepared(checked, settings, None, here=True)
    assert {*shared} == {min(3, checked.total)}
