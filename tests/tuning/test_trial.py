import functools
import os

import pytest
import ray
import torch

from training import datasets, requirements, splits
from training.config import DataConfig, Objective, RunConfig
from tuning.trial import Trial


class Quiet(Trial):
    """One that tells no ledger."""

    def __init__(self):
        """Without Ray's own set-up, which takes a session."""

    def _tell(self, *_):
        pass


@pytest.fixture
def dealt():
    return splits.split(datasets.load(DataConfig(name="iris"), None, None), DataConfig(name="iris"))


def config(**changes):
    given = {"data": {"name": "iris"}, "model": {"family": "mlp", "width": 8}, "epochs": 1, "device": "cpu", **changes}
    return {"trial": {"number": 1, "run": RunConfig.model_validate(given).model_dump()}}


@pytest.mark.parametrize(("given", "seen"), [([], ""), (["1"], "1")])
def test_a_trial_sees_the_gpus_that_it_was_given_alone(dealt, monkeypatch, given, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: given)
    Quiet().setup(config(), dealt, None, Objective())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def test_every_trial_of_a_process_is_compiled(dealt, monkeypatch):
    """torch compiles one function eight times at most."""
    compiled = []

    def backend(graph, _):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    monkeypatch.setattr(requirements, "COMPILER", "sh")
    trial = Quiet()
    trial._splits, trial._objective = dealt, Objective()
    for width in range(8, 18):
        before = len(compiled)
        trial.reset_config(config(compile=True, batch_size=16, model={"family": "mlp", "width": width}))
        trial._run.step()
        assert len(compiled) > before, f"the trial with {width} units"
