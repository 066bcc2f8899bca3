import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training import splits, stack
from training.config import DataConfig, Objective
from training.lanes import Lanes
from training.loop import Run
from training.stack import Stack

MLP = {"family": "mlp", "width": [24, 16]}

LANE = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2),
        "optimizer": st.fixed_dictionaries(
            {
                "name": st.just("sgd"),
                "lr": st.floats(0.01, 0.3),
                "momentum": st.sampled_from([0.0, 0.9]),
                "weight_decay": st.sampled_from([0.0, 0.01]),
            }
        ),
        "epochs": st.integers(1, 3),
        "ema": st.sampled_from([None, 0.9]),
        "schedule": st.sampled_from([{"name": "constant"}, {"name": "one_cycle"}]),
        "dropout": st.sampled_from([0.0, 0.3, [0.0, 0.5]]),
    }
)


def built(run_config, lane, **shared):
    changes = {name: value for name, value in lane.items() if name != "dropout"}
    return run_config(model={**MLP, "dropout": lane["dropout"]}, **changes, **shared)


@given(st.lists(LANE, min_size=2, max_size=5), st.sampled_from([64, "full"]))
@settings(max_examples=25)
def test_runs_that_are_stacked_take_the_steps_that_they_take_alone(run_config, few, lanes, batch_size):
    configs = [built(run_config, lane, batch_size=batch_size) for lane in lanes]
    alone, together = ([Run(config, few) for config in configs] for _ in range(2))
    assert len({stack.key(run) for run in together}) == 1
    stacked = Stack(together)
    for run, epoch in zip(alone, stacked.step(), strict=True):
        expected = run.step()
        figures = {name: value for name, value in epoch.metrics().items() if name != "seconds"}
        assert figures == pytest.approx({name: expected.metrics()[name] for name in figures}, abs=1e-5)
    for run, other in zip(alone, together, strict=True):
        states = run.state.kept.state_dict(), other.state.kept.state_dict()
        assert all(torch.allclose(states[0][name], states[1][name], atol=1e-6) for name in states[0])


def test_two_classes_are_told_apart_as_they_are_alone(run_config, blobs):
    dataset = replace(blobs(images=200, noise=150, classes=2), kind="binary")
    two = splits.split(dataset, DataConfig(name="digits", validation=40, holdout=0, test=1))
    configs = [run_config(model={**MLP, "dropout": rate}, epochs=2) for rate in (0.0, 0.3)]
    together = [Run(config, two) for config in configs]
    assert len({stack.key(run) for run in together} - {None}) == 1
    for config, epoch in zip(configs, Stack(together).step(), strict=True):
        figures = {name: value for name, value in Run(config, two).step().metrics().items() if name != "seconds"}
        assert {name: epoch.metrics()[name] for name in figures} == pytest.approx(figures, abs=1e-5)


def test_a_probe_trains_a_quarter_of_the_steps(run_config, few):
    configs = [run_config(model={**MLP, "dropout": 0.3}, batch_size=16, seed=seed) for seed in (0, 1)]
    alone = [Run(config, few).probe() for config in configs]
    for epoch, expected in zip(Stack([Run(config, few) for config in configs]).probe(), alone, strict=True):
        assert epoch.epoch == 0
        figures = {name: value for name, value in epoch.metrics().items() if name != "seconds"}
        assert figures == pytest.approx({name: expected.metrics()[name] for name in figures}, abs=1e-5)
    whole = Run(configs[0], few)
    steps = []
    whole.on_batch = steps.append
    whole.probe()
    assert len(steps) == math.ceil(len(few.train) / 16) // 4


def test_the_size_of_a_block_changes_no_bit(run_config, few, monkeypatch):
    model = {**MLP, "dropout": 0.3}
    configs = [run_config(model=model, batch_size=batch, seed=n % 2, epochs=2) for batch in (16, 600) for n in range(5)]
    weights = []
    for size in (1, 2, 5):
        monkeypatch.setattr(stack, "lanes_at_once", lambda run, most, size=size: min(size, most))
        lanes = Lanes(configs, few, Objective())
        while lanes.active:
            lanes.step()
        assert not lanes.failures
        weights.append([lanes.weights(lane) for lane in range(len(configs))])
    assert weights[0] == weights[1] == weights[2]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_every_optimiser_ends_where_it_does_alone(run_config, few, name, precision):
    shared = {"precision": precision, "epochs": 4, "batch_size": 32}
    configs = [run_config(model=MLP, optimizer={"name": name, "lr": lr}, **shared) for lr in (1e-3, 3e-3)]
    lanes = Lanes(configs, few, Objective())
    while lanes.active:
        lanes.step()
    for lane, config in enumerate(configs):
        *_, last = Run(config, few)
        assert lanes.progress(lane).epochs[-1].val_loss == pytest.approx(last.val_loss, abs=2e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"family": "cnn", "width": 4}},
        {"model": {**MLP, "batch_norm": True}},
        {"model": {**MLP, "activation": "gelu"}},
        {"augment": {"flip": True}},
        {"accumulate": 2},
        {"loss": {"label_smoothing": 0.1}},
        {"loss": {"name": "bce"}},
    ],
)
def test_what_cannot_be_stacked_is_trained_apart(run_config, few, changes):
    assert stack.key(Run(run_config(**{"model": MLP, **changes}), few)) is None


@pytest.mark.parametrize("changes", [{"batch_size": 32}, {"model": {**MLP, "width": [24, 17]}}, {"precision": "bf16"}])
def test_runs_of_other_shapes_batches_or_digits_are_other_stacks(run_config, few, changes):
    keys = [stack.key(Run(run_config(**{"model": MLP, **more}), few)) for more in ({}, changes)]
    assert None not in keys and keys[0] != keys[1]


def test_a_run_that_diverges_ends_alone(run_config, few):
    deep = {"family": "mlp", "depth": 6}
    good, bad = (run_config(model=deep, optimizer={"name": "sgd", "lr": lr, "momentum": 0.9}) for lr in (0.01, 100.0))
    lanes = Lanes([good, bad], few, Objective())
    assert lanes.step().keys() == {0}
    assert "lower optimizer.lr" in str(lanes.failures[1])
    assert lanes.progress(0).epochs[0].val_loss == pytest.approx(Run(good, few).step().val_loss, abs=1e-4)
