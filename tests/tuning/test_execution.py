from unittest import mock

import joblib
import pytest
import torch
from rich.console import Console

from registry import ledger
from registry.core import Registry
from tailorbird.errors import TailorbirdError
from tests import sweeps
from training import datasets, memory, splits
from tuning import execution, placing, spec, writer
from tuning.execution import Execution
from tuning.stop import Stop


@pytest.fixture
def prepared(settings):
    def prepare(checked, left=None):
        dataset = datasets.load(checked.data, None, None)
        dealt = splits.split(dataset, checked.data)
        return execution.prepare(checked, dataset, dealt, left, settings.cache, here=True)

    return prepare


@pytest.mark.parametrize(("instructions", "taken"), [(["avx512_bf16"], "bf16"), ([], "fp32")])
def test_the_precision_that_the_processor_takes_is_that_of_all_trials_from_then_on(
    raw_spec, settings, prepared, monkeypatch, instructions, taken
):
    processor = dict.fromkeys(instructions, True)  # whose maker is not asked for
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    raw_spec["run"]["device"] = "cpu"
    checked = spec.parse(raw_spec)
    executed = Execution(settings, Console(quiet=True), "ann", None, Stop(), prepared(checked))
    settled = executed._settled(checked)
    assert {config.precision for config in settled.configs} == {taken}
    other = {} if instructions else {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: other)
    again = executed._settled(spec.stored(settled.plain()))
    assert {config.precision for config in again.configs} == {taken}


def test_a_sweep_of_the_ledger_is_prepared_without_making_its_configs_again(raw_spec, prepared):
    checked = spec.parse(raw_spec)
    older = spec.stored({**raw_spec, "run": {**raw_spec["run"], "a_key_of_old": True}})
    assert prepared(older, checked.configs).notes == prepared(checked).notes


def test_trials_that_run_at_once_are_reckoned_together(raw_spec, prepared, monkeypatch):
    raw_spec["resources"] = {"cpus": joblib.cpu_count() / 3, "gpus": 0}
    shared = []
    monkeypatch.setattr(memory, "check", lambda config, dealt, together: shared.append(together))
    checked = spec.parse(raw_spec)
    prepared(checked)
    assert {*shared} == {min(3, checked.total)}


def test_a_search_that_tune_gives_up_is_a_failure_and_registers_nothing(
    raw_spec, settings, prepared, monkeypatch, tmp_path
):
    checked = spec.parse(raw_spec)
    monkeypatch.setattr(placing, "place", lambda *_: False)
    monkeypatch.setattr(writer, "start", mock.Mock())
    monkeypatch.setattr(execution.ray, "get", lambda _: None)
    executed = Execution(settings, Console(quiet=True), "ann", "local", Stop(), prepared(checked))
    with Registry(settings) as registry:
        lease = sweeps.begin(registry, "tiny-1", checked.plain(), [])
        with pytest.raises(TailorbirdError, match=r"^Ray Tune gave up before .* `tailorbird sweep --resume tiny-1`$"):
            executed._held_to_the_end(registry, lease, checked, tmp_path)
        assert ledger.sweep(registry, "tiny-1").status == "failed"
