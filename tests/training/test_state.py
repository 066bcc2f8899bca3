import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.config import RunConfig, parse
from training.state import Mean, State, part


def stepped(state, steps, inputs):
    for _ in range(steps):
        state.optimizer.zero_grad()
        state.network(inputs).square().mean().backward()
        state.update()
    return state


def config(**changes):
    return parse(RunConfig, {"data": {"name": "digits"}, "model": {"family": "linear"}, **changes})


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_what_is_restored_goes_on_as_if_it_had_never_stopped(name, ema):
    inputs, momentum = torch.randn(8, 4), {"momentum": 0.9} if name in ("sgd", "rmsprop") else {}
    chosen = config(ema=ema, optimizer={"name": name, "lr": 0.01, **momentum})
    whole = stepped(State(network(), chosen), 5, inputs)
    tensors = whole.tensors()
    torch.rand(2, generator=whole.random)
    stepped(whole, 4, inputs)
    resumed = State(network(), chosen)
    resumed.restore(tensors)
    torch.rand(2, generator=resumed.random)
    stepped(resumed, 4, inputs)
    after, expected = resumed.tensors(), whole.tensors()
    assert after.keys() == expected.keys() and all(torch.equal(after[name], expected[name]) for name in expected)


def test_copies_are_not_changed_by_later_steps():
    state = State(network(), config(ema=0.5))
    tensors = stepped(state, 2, torch.randn(8, 4)).tensors()
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    stepped(state, 2, torch.randn(8, 4))
    assert all(torch.equal(tensors[name], before[name]) for name in before)


def test_a_part_is_named_without_its_prefix():
    assert list(part({"a/x": torch.ones(1), "ab/y": torch.ones(1)}, "a")) == ["x"]


@given(st.floats(0.5, 0.9999), st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=60))
def test_a_running_mean_lies_within_what_it_is_of_and_forgets_the_first_weights(decay, values):
    linear = nn.Linear(1, 1, bias=False)
    nn.init.constant_(linear.weight, 1e6)
    mean = Mean(linear, decay)
    for value in values:
        nn.init.constant_(linear.weight, value)
        mean.update()
    assert min(values) - 1e-4 <= mean.network.weight.item() <= max(values) + 1e-4


def test_a_running_mean_has_the_decay_that_it_is_given_in_the_end():
    linear = nn.Linear(1, 1, bias=False)
    mean = Mean(linear, 0.75)
    nn.init.constant_(linear.weight, 0.0)
    for _ in range(100):
        mean.update()
    nn.init.constant_(linear.weight, 1.0)
    mean.update()
    assert mean.network.weight.item() == pytest.approx(0.25)


def test_figures_of_batch_norm_are_averaged_and_its_counts_are_taken_over():
    state = stepped(State(network(), config(ema=0.9)), 3, torch.randn(8, 4))
    assert state.kept[1].num_batches_tracked.item() == 3 and not state.kept[0].weight.requires_grad
    assert not torch.equal(state.kept[1].running_mean, state.network[1].running_mean)
