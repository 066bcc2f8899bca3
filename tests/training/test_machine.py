import os

import joblib
import pytest
import torch

from tailorbird.errors import InvalidInput
from training import machine, models
from training.loop import Run

MLP = {"family": "mlp", "width": [24, 16]}
CNN = {"family": "cnn", "depth": 2, "width": 6}


@pytest.fixture
def devices(monkeypatch):
    def set_available(*names):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return set_available


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        ([], "auto", "cpu"),
        (["mps"], "auto", "mps"),
        (["cuda", "mps"], "auto", "cuda"),
        (["cuda", "mps"], "mps", "mps"),
        (["cuda", "mps"], "cpu", "cpu"),
    ],
)
def test_the_best_device_is_chosen_unless_one_is_asked_for(devices, there, wanted, chosen):
    devices(*there)
    assert machine.choose_device(wanted) == torch.device(chosen)


def test_numbers_are_computed_where_there_is_float64(devices):
    devices("mps")
    assert machine.choose_device("auto", doubles=True) == torch.device("cpu")
    with pytest.raises(InvalidInput, match=r"^device: mps has no float64, .*; accepted: auto, cpu$"):
        machine.choose_device("mps", doubles=True)


@pytest.mark.parametrize(("there", "accepted"), [([], "auto, cpu"), (["mps"], "auto, mps, cpu")])
def test_a_device_that_is_not_here_is_refused(devices, run_config, few, there, accepted):
    devices(*there)
    with pytest.raises(InvalidInput, match=f"^device: cuda is not available here; accepted: {accepted}$"):
        Run(run_config(device="cuda"), few)


@pytest.mark.parametrize(
    ("model", "asked", "used"), [(MLP, 0, 1), (MLP, 2, 2), (CNN, 0, joblib.cpu_count()), (CNN, 1, 1)]
)
def test_an_mlp_takes_one_thread_unless_told_otherwise(run_config, few, model, asked, used):
    seen, before = set(), torch.get_num_threads()
    Run(run_config(model=model, threads=asked), few, on_batch=lambda _: seen.add(torch.get_num_threads())).step()
    assert seen == {used} and torch.get_num_threads() == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to cores here")
def test_a_process_that_is_bound_to_a_core_takes_one_thread(run_config):
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert machine.threads(run_config(model=CNN)) == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_memory_that_does_not_suffice_is_told_with_what_to_try(run_config, few):
    run = Run(run_config(model=MLP, epochs=1, batch_size=32), few)
    run._loss = lambda logits, _: torch.empty(10**15)
    with pytest.raises(InvalidInput, match="batch_size: a batch of 32 does not fit into memory; try 16"):
        run.step()


def test_what_does_not_fit_at_once_is_measured_in_smaller_parts(run_config, few):
    run, sizes = Run(run_config(model=MLP, epochs=1, batch_size=32), few), []

    def narrow(logits, targets):
        sizes.append(len(targets))
        return torch.empty(10**15) if len(targets) > 10 else torch.tensor(len(targets) / 2)

    run._measured_loss = narrow
    assert run.score(few.validation)[0] == 4.0  # half of eight
    assert sizes == [40, 40, 40, 40, 32, 16, 8, 8, 8, 8, 8]


def test_a_model_that_does_not_fit_with_one_example_is_named(run_config, few, monkeypatch):
    run = Run(run_config(model=MLP, epochs=1, batch_size=1), few)
    run._loss = lambda logits, _: torch.empty(10**15)
    with pytest.raises(InvalidInput, match=r"^model: does not fit into memory with a single example"):
        run.step()
    monkeypatch.setattr(models, "build", lambda *_: torch.empty(10**15))
    with pytest.raises(InvalidInput, match=r"^model: does not fit"):
        Run(run_config(model=MLP), few)
