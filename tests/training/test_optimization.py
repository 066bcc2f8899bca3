import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import nn

from training import optimization
from training.config import OptimizerConfig, ScheduleConfig


def rates(name, peak, steps, scores=(), **config):
    schedule = ScheduleConfig(name=name, **config)
    return [optimization.lr(schedule, peak, step, steps, scores) for step in range(steps)]


def pytorchs(make, peak, steps):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=peak)
    schedule, result = make(optimizer), []
    for _ in range(steps):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return result


def test_constant():
    assert rates("constant", 0.3, 4) == [0.3] * 4


@given(st.integers(2, 60), st.floats(0.05, 0.9), st.floats(1e-5, 10))
def test_one_cycle_is_pytorchs_own_to_the_last_bit(steps, warmup, peak):
    if warmup * steps == 1:
        return  # theirs divides by zero

    def make(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, steps, pct_start=warmup, cycle_momentum=False)

    assert rates("one_cycle", peak, steps, warmup=warmup) == pytorchs(make, peak, steps)


def test_one_cycle_with_a_rise_of_a_single_step():
    assert rates("one_cycle", 1.0, 2, warmup=0.5)[0] == 1.0


def test_cosine_is_pytorchs_own_without_warmup():
    def make(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / 20)) / 2)

    assert rates("cosine", 0.1, 20, warmup=0.0) == pytest.approx(pytorchs(make, 0.1, 20), abs=1e-9)
    annealing = pytorchs(lambda one: torch.optim.lr_scheduler.CosineAnnealingLR(one, 20), 0.1, 20)
    assert rates("cosine", 0.1, 20, warmup=0.0) == pytest.approx(annealing, abs=1e-6)


@pytest.mark.parametrize(("steps", "warmup"), [(10, 0.3), (20, 0.25), (50, 0.1)])
def test_cosine_rises_as_pytorchs_own_behind_a_linear_warmup(steps, warmup):
    rising = round(warmup * steps)

    def make(one):
        rise = torch.optim.lr_scheduler.LinearLR(one, 1 / (rising + 1), total_iters=rising)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(one, steps - rising)
        return torch.optim.lr_scheduler.SequentialLR(one, [rise, fall], [rising])

    result = rates("cosine", 0.1, steps, warmup=warmup)
    assert result == pytest.approx(pytorchs(make, 0.1, steps), abs=1e-6) and max(result) == result[rising] == 0.1


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(1, 4), st.sampled_from([0.1, 0.5]))
def test_plateau_is_pytorchs_own(scores, patience, factor):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=factor, patience=patience, threshold=0, eps=0
    )
    for score in scores:
        theirs.step(score)
    schedule = ScheduleConfig(name="plateau", patience=patience, factor=factor)
    assert optimization.lr(schedule, 1.0, 0, 1, scores) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)


@pytest.mark.parametrize(
    "scores, least, expected",
    [
        ([], 0.0, 0),
        ([1], 0.0, 0),
        ([1, 2, 2], 0.0, 1),
        ([1, 0.5, 0.2], 0.0, 2),
        ([1, 1.05, 1.2], 0.1, 0),
        ([1, 1.05], 0.1, 1),
    ],
)
def test_waited(scores, least, expected):
    assert optimization.waited(scores, least) == expected


@pytest.mark.parametrize(
    "config, expected",
    [
        ({"name": "adam"}, lambda p: torch.optim.Adam(p, lr=0.01)),
        ({"name": "adamw", "weight_decay": 0.1}, lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
        ({"name": "rmsprop", "momentum": 0.5}, lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5)),
        ({"name": "sgd"}, lambda p: torch.optim.SGD(p, lr=0.01)),
        (
            {"name": "sgd", "momentum": 0.9, "nesterov": True},
            lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
        ),
        (
            {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1},
            lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1),
        ),
    ],
)
def test_optimisers_are_pytorchs_own(config, expected):
    result = []
    for make in (
        lambda net: optimization.optimizer(net, OptimizerConfig(lr=0.01, **config)),
        lambda net: expected(list(net.parameters())),
    ):
        torch.manual_seed(0)
        network = nn.Linear(5, 3)
        optimizer = make(network)
        for _ in range(5):
            optimizer.zero_grad()
            network(torch.ones(2, 5)).square().sum().backward()
            optimizer.step()
        result.append(network.weight.detach().clone())
    assert torch.allclose(result[0], result[1], rtol=0, atol=1e-6) and not torch.equal(result[0], torch.zeros(3, 5))
