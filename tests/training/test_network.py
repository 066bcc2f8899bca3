from dataclasses import replace

import numpy as np
import pytest
import torch

from tailorbird.errors import Corrupt
from training import checkpoint, splits
from training.config import DataConfig
from training.datasets import Dataset
from training.network import blank, fresh, restored

CNN = {"family": "cnn", "depth": 2, "width": 6}


def state(network):
    return network.state_dict()


def test_first_weights_are_decided_by_the_seed_and_leave_other_random_numbers_alone(run_config, few):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, again, other = (state(fresh(run_config(model=CNN, seed=seed), few)) for seed in (4, 4, 5))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["1.weight"], other["1.weight"])


@pytest.mark.parametrize("kind", ["image", "regression"])
def test_weights_are_restored_without_a_look_at_the_examples(run_config, few, kind):
    parts, config = few, run_config(model=CNN)
    if kind == "regression":
        rows = np.random.default_rng(0).normal(5, 2, (60, 4)).astype(np.float32)
        dataset = Dataset("rows", ("price",), rows, rows[:, 0], None, "regression")
        parts = splits.split(dataset, DataConfig(name="digits", validation=10, holdout=0))
        config = run_config()
    run = fresh(config, parts)
    unread = replace(parts.train, places=parts.train.places[:0], targets=parts.train.targets[:0])
    again = restored(config, replace(parts, train=unread), checkpoint.encode(state(run)))
    assert all(torch.equal(state(run)[name], tensor) for name, tensor in state(again).items())


def test_weights_of_another_network_are_corrupt(run_config, few):
    weights = checkpoint.encode(state(blank(run_config(model=CNN), few)))
    with pytest.raises(Corrupt, match="does not fit its config"):
        restored(run_config(), few, weights)
