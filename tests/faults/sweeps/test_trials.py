"""Trials that raise, hang, die, run out of memory or diverge: each is recorded with its reason, the rest goes on."""

import pytest

from registry import ledger
from tests.faults.sweeps.conftest import ended

MODULE = """
import os
import time

import ray
import torch
from torch import nn

ACTS = {
    "raise": lambda: {}["missing"],
    "hang": lambda: time.sleep(3600),
    "die": lambda: os.kill(os.getpid(), 9),
    "memory": lambda: torch.empty(2**50),
}


class Bad(nn.Module):
    def __init__(self, inputs, outputs, act):
        super().__init__()
        self.linear, self.act = nn.Linear(inputs, outputs), act

    def forward(self, images):
        # not where the sweep is checked, nor where the module is tried
        if len(images) > 2 and ray.is_initialized() and ray.get_runtime_context().get_actor_id():
            ACTS[self.act]()
        return self.linear(images.flatten(1))


def bad(shape, outputs, act):
    return Bad(64, outputs, act)
"""
PROBLEMS = {
    "raise": "KeyError: 'missing'",
    "hang": "no measurement within 1 minutes (limits.epoch_minutes, times measure_every)",
    "die": "its process was killed; if its node ran out of memory",
    "memory": "does not fit into memory",
    "diverge": "the loss is NaN or infinite in step",
}
MLP = {"family": "mlp", "width": 16}
DIVERGING = {"model": MLP, "optimizer": {"name": "sgd", "lr": 100.0, "weight_decay": 100.0}}


@pytest.mark.long
def test_what_goes_wrong_in_a_trial_is_recorded_and_the_sweep_goes_on(begin):
    runs = [
        {"name": act, "model": {"family": "custom", "function": "mine:bad", "arguments": {"act": act}}}
        for act in PROBLEMS
        if act != "diverge"
    ]
    runs += [{"name": "diverge", **DIVERGING}, {"name": "sound", "model": MLP}]
    sweep = begin("listed", run={"batch_size": 64, "epochs": 3}, runs=runs, limits={"epoch_minutes": 1})
    (sweep.folder / "mine.py").write_text(MODULE)
    status, out = ended(sweep.drive(cwd=sweep.folder))
    assert status == 0, out
    *bad, sound = ledger.trials(sweep.registry, "listed")
    assert (sound.status, len(sound.reports)) == ("finished", 3)
    for trial, (act, problem) in zip(bad, PROBLEMS.items(), strict=True):
        assert (trial.status, trial.reports) == ("failed", []), act
        assert problem in trial.problem, act
        assert f"trial {trial.number}: {trial.problem}" in out, act
