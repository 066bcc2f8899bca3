"""A run that was interrupted ends with the weights of an unbroken one, to the last bit."""

import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from tailorbird.errors import Corrupt, InvalidInput
from training import checkpoint, splits
from training.config import DataConfig
from training.loop import Run

MLP = {"family": "mlp", "width": [24, 16], "dropout": 0.3}
CNN = {"family": "cnn", "depth": 2, "width": 6, "dropout": 0.2}
KINDS = {
    "adam, one-cycle, dropout": {"model": MLP, "schedule": {"name": "one_cycle"}},
    "sgd, momentum, plateau": {
        "model": MLP,
        "optimizer": {"name": "sgd", "lr": 0.3, "momentum": 0.9},
        "schedule": {"name": "plateau", "patience": 1},
    },
    "rmsprop, batch norm, mean of weights": {"model": CNN, "optimizer": {"name": "rmsprop", "lr": 0.01}, "ema": 0.9},
    "bf16, augmentation, accumulation": {
        "model": CNN,
        "precision": "bf16",
        "augment": {"flip": True, "crop": 1, "erase": 2},
        "accumulate": 2,
    },
    "early stopping, measured every second epoch": {
        "model": MLP,
        "optimizer": {"lr": 0.05},
        "early_stopping": {"patience": 2},
        "measure_every": 2,
        "epochs": 12,
    },
    "the last epoch is kept": {"model": MLP, "data": {"name": "digits", "validation": 0}},
}


@pytest.fixture(scope="module")
def made(blobs):
    return blobs(images=200, noise=150)


def outcome(run):
    figures = [epoch.metrics() | {"seconds": 0, "epoch": epoch.epoch} for epoch in run.epochs]
    return figures, run.best.epoch, checkpoint.encode(run.best_state), checkpoint.encode(run.network.state_dict())


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_a_resumed_run_ends_as_an_unbroken_one_wherever_it_was_interrupted(run_config, few, made, changes):
    config = run_config(**{"epochs": 6, "batch_size": 32, **changes})
    parts = (
        few if config.data.validation else splits.split(made, config.data.model_copy(update={"holdout": 0, "test": 1}))
    )
    whole, states = Run(config, parts), []
    for _ in whole:
        states.append(whole.snapshot().pack())
    for state in states[:-1]:
        resumed = Run(config, parts, snapshot=state)
        torch.rand(3)  # whatever else the process does
        for _ in resumed:
            pass
        assert outcome(resumed) == outcome(whole)


def test_a_run_that_was_over_stays_over(run_config, few):
    config = run_config(model=MLP, epochs=2)
    whole = Run(config, few)
    list(whole)
    resumed = Run(config, few, snapshot=whole.snapshot().pack())
    assert resumed.done and outcome(resumed) == outcome(whole)


def test_a_run_of_constant_rate_may_be_made_longer(run_config, few):
    config = run_config(model=MLP, epochs=4, optimizer={"name": "adam", "lr": 0.01})
    whole, short = Run(config, few), Run(config.model_copy(update={"epochs": 2}), few)
    for run in (whole, short):
        list(run)
    longer = Run(config, few, snapshot=short.snapshot().pack())
    assert not longer.done
    list(longer)
    assert outcome(longer) == outcome(whole)


@pytest.mark.parametrize("changes", [{"epochs": 1}, {"epochs": 8, "measure_every": 2}])
def test_a_run_does_not_go_on_from_an_epoch_that_it_would_not_measure(run_config, few, changes):
    every = changes.get("measure_every", 1)
    short = Run(run_config(model=MLP, epochs=3, measure_every=every), few)
    list(short)
    with pytest.raises(InvalidInput, match="measured at epoch 3, which epochs and measure_every now leave out; start"):
        Run(run_config(model=MLP, **changes), few, snapshot=short.snapshot().pack())


@pytest.mark.parametrize(
    "changes, data",
    [
        ({"epochs": 4, "schedule": {"name": "cosine"}}, {}),
        ({"optimizer": {"lr": 0.5}}, {}),
        ({"seed": 3}, {}),
        ({}, {"split_seed": 2}),
        ({}, {"validation": 41}),
    ],
)
def test_another_run_is_refused(run_config, few, made, changes, data):
    stopped = Run(run_config(model=MLP, epochs=3, schedule=changes.get("schedule", {})), few)
    stopped.step()
    state = stopped.snapshot().pack()
    parts = splits.split(made, DataConfig(**{"name": "digits", "validation": 40, "holdout": 0, "test": 1, **data}))
    with pytest.raises(InvalidInput, match="--resume: the interrupted run had another config or other data"):
        Run(run_config(**{"model": MLP, "epochs": 3, **changes}), parts, snapshot=state)


def test_other_labels_are_other_data(run_config, few):
    config = run_config(model=MLP, epochs=3)
    stopped = Run(config, few)
    stopped.step()
    state = stopped.snapshot().pack()
    for part in ("train", "validation"):
        split = getattr(few, part)
        changed = replace(few, **{part: replace(split, targets=split.targets[::-1].copy())})
        with pytest.raises(InvalidInput, match="other data"):
            Run(config, changed, snapshot=state)


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-9], lambda data: data[:40], lambda data: b"", lambda data: b"x" * 99]
)
def test_a_torn_checkpoint_is_corrupt(run_config, few, spoil):
    run = Run(run_config(model=MLP, epochs=3), few)
    run.step()
    state = run.snapshot().pack()
    with pytest.raises(Corrupt, match="the checkpoint cannot be read"):
        Run(run_config(model=MLP, epochs=3), few, snapshot=spoil(state))


def test_a_checkpoint_that_lacks_a_part_is_corrupt(run_config, few):
    run = Run(run_config(model=MLP, epochs=3), few)
    run.step()
    state = run.snapshot().pack()
    tensors = safetensors.torch.load(state)
    fields = {"run": run.identity(), "epochs": json.dumps([])}
    for name in ("random", next(name for name in tensors if name.startswith("network/"))):
        fewer = {key: value for key, value in tensors.items() if key != name}
        with pytest.raises(Corrupt, match="does not fit its run"):
            Run(run_config(model=MLP, epochs=3), few, snapshot=safetensors.torch.save(fewer, fields))
