import sys
import threading
from pathlib import Path
from unittest import mock

import joblib
import pytest
import torch
from rich.console import Console

from registry import ledger, versions
from registry.core import Registry
from registry.ledger import Report
from tailorbird.errors import TailorbirdError, Unavailable
from tests import sweeps
from training import datasets, lanes, memory, splits
from training.config import Objective
from tuning import execution, patience, placing, spec, writer
from tuning.execution import Execution
from tuning.stop import Stop

ROOT = Path(execution.__file__).parent


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


@pytest.fixture
def searched(raw_spec, settings, prepared, monkeypatch, tmp_path):
    """Lets Tune say at once whether all trials are trained, and goes on with what follows."""
    checked = spec.parse(raw_spec)
    monkeypatch.setattr(writer, "start", mock.Mock())
    monkeypatch.setattr(execution.ray, "get", lambda _: None)
    executed = Execution(settings, Console(quiet=True), "ann", "local", Stop(), prepared(checked))

    def end(registry, lease, done):
        monkeypatch.setattr(placing, "place", lambda *_: done)
        return executed._held_to_the_end(registry, lease, checked, tmp_path)

    return end


def test_a_search_that_tune_gives_up_is_a_failure_and_registers_nothing(settings, searched):
    with Registry(settings) as registry:
        lease = sweeps.begin(registry, "tiny-1", {}, [])
        with pytest.raises(TailorbirdError, match=r"^Ray Tune gave up before .* `tailorbird sweep --resume tiny-1`$"):
            searched(registry, lease, False)
        assert ledger.sweep(registry, "tiny-1").status == "failed"


def test_after_the_search_too_a_database_or_store_that_is_away_is_waited_for(
    raw_spec, settings, searched, prepared, monkeypatch
):
    checked = spec.parse(raw_spec)
    configs = [config.model_copy(update={"epochs": 1}) for config in checked.configs[:2]]
    group = lanes.Lanes(configs, prepared(checked).dealt, Objective())
    group.step()
    with Registry(settings) as registry:
        lease = sweeps.begin(registry, "tiny-1", checked.plain(), [one.model_dump(mode="json") for one in configs])
        for lane in (0, 1):
            digest = registry.blobs.put(group.weights(lane))
            sweeps.report(registry, "tiny-1", lane + 1, Report(1, group.progress(lane).best.metrics(), digest))
            sweeps.set_trial(registry, "tiny-1", lane + 1, "finished")
        with monkeypatch.context() as patch:
            outages = away_once(registry, patch)
            assert searched(registry, lease, True).promotion.version.number == 1
        assert {"ranked", "_store", "_registered", "enter"} < {name for name, _ in outages}
        assert len(versions.page(registry, "tiny")) == 1
        assert ledger.sweep(registry, "tiny-1").registered == 1


def away_once(registry, patch):
    """Let the database and the store be away whenever a line of tuning needs one of them for the first time."""
    outages, main = set(), threading.current_thread()

    def exposed(act):
        def try_to(*arguments):
            caller = sys._getframe(1)
            while Path(caller.f_code.co_filename).parent != ROOT:
                caller = caller.f_back
            place = caller.f_code.co_name, caller.f_lineno
            if threading.current_thread() is main and place not in outages and place[0] != "_promote":  # as documented
                outages.add(place)
                raise Unavailable("away")
            return act(*arguments)

        return try_to

    for owner, names in ((registry, ("atomic", "reading", "asking")), (registry.blobs, ("get", "put_all"))):
        for name in names:
            patch.setattr(owner, name, exposed(getattr(owner, name)))
    patch.setattr(patience.time, "sleep", lambda _: None)
    return outages
