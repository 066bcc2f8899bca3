import sys

import pytest
import torch

from tailorbird.errors import InvalidInput
from training import models
from training.config import CustomConfig

GOOD = """
from torch import nn

def build(shape, outputs, width=3):
    channels = shape[0]
    return nn.Sequential(nn.Conv2d(channels, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.LazyLinear(outputs))

def lazy(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.LazyBatchNorm1d(), nn.utils.weight_norm(nn.Linear(25, outputs)))

def rows(shape, outputs):
    return nn.Linear(*shape, outputs)

def wrong(shape, outputs):
    return nn.Flatten()

def tuples(shape, outputs):
    return nn.LSTM(5, outputs)

def mixed(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(7, outputs))

def none(shape, outputs):
    return None

def fails(shape, outputs):
    sizes = {}
    return sizes["width"]

class Halves(nn.Linear):
    def forward(self, inputs):
        answer = super().forward(inputs.flatten(1))
        return (answer, answer) if self.training else answer

def halves(shape, outputs):
    return Halves(25, outputs)

class AcrossTheBatch(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.last = nn.Linear(25, outputs)
    def forward(self, inputs):
        return self.last(inputs.flatten(1)).log_softmax(0)

def across(shape, outputs):
    return AcrossTheBatch(outputs)

def together(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(25, track_running_stats=False), nn.Linear(25, outputs))

def drawn(shape, outputs):
    class Drawn(nn.Linear):
        def forward(self, inputs):
            import torch
            return super().forward(inputs.flatten(1)) + torch.randn(len(inputs), 1)
    return Drawn(25, outputs)

class Sums(nn.Module):
    def forward(self, inputs):
        return inputs.flatten(1)[:, :2]

def sums(shape, outputs):
    return Sums()
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "own_nets.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    sys.modules.pop("own_nets", None)


def config(function, **arguments):
    return CustomConfig(family="custom", function=f"own_nets:{function}", arguments=arguments)


def test_a_module_of_the_user_s_own_gets_normalised_images(nets):
    network = models.build(config("build", width=5), (9, 8, 3), 4, models.Normalize([1.0] * 3, [2.0] * 3))
    assert network.training and network[1].training
    assert network[1][0].weight.shape == (5, 3, 3, 3)
    logits = network(torch.randint(0, 256, (6, 9, 8, 3), dtype=torch.uint8))
    logits.sum().backward()
    assert logits.shape == (6, 4) and network[1][3].weight.grad is not None
    assert network[1][1].running_mean.any() and network[1][1].num_batches_tracked == 1  # the trial left no trace


def test_its_weights_may_be_made_when_it_is_first_called(nets):
    network = models.build(config("lazy"), (5, 5), 3, models.Normalize([1.0], [2.0]))
    assert network(torch.ones(2, 5, 5)).shape == (2, 3)


def test_it_may_look_at_rows(nets):
    network = models.build(config("rows"), (4,), 3, models.Normalize([1.0] * 4, [2.0] * 4))
    assert network(torch.ones(2, 4)).shape == (2, 3)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("wrong", "must return a module that maps [2, 1, 5, 5] to [2, 2], not to [2, 25]"),
        ("tuples", "raised ValueError: LSTM: Expected input to be 2D or 3D, got 4D instead"),
        ("mixed", "raised RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x25 and 7x2)"),
        ("none", "must return a torch.nn.Module, not NoneType"),
        ("fails", "raised KeyError: 'width' (own_nets.py, line 28)"),
        ("halves", "must return a module that maps [2, 1, 5, 5] to [2, 2], not to tuple"),
        ("sums", "must return a module with trainable weights"),
    ],
)
def test_what_is_of_no_use_is_told(nets, function, problem):
    with pytest.raises(InvalidInput) as refused:
        models.check(config(function), (5, 5))
    assert str(refused.value) == f"model.function: own_nets:{function} {problem}"


@pytest.mark.parametrize("function", ["across", "drawn"])
def test_an_answer_must_depend_on_its_input_alone(nets, function):
    with pytest.raises(InvalidInput) as refused:
        models.check(config(function), (5, 5))
    assert str(refused.value).startswith(
        f"model.function: own_nets:{function}: the output of its module for an input depends on the rest of the batch"
    )


def test_one_input_must_have_an_answer_by_itself(nets):
    with pytest.raises(InvalidInput, match=r"own_nets:together: its module fails on a single input: "):
        models.check(config("together"), (5, 5))


def test_a_wrong_argument_is_told(nets):
    with pytest.raises(InvalidInput) as refused:
        models.check(config("build", widht=5), (5, 5))
    assert str(refused.value) == (
        "model.function: own_nets:build raised TypeError: build() got an unexpected keyword argument 'widht'"
    )


def test_a_check_leaves_the_random_numbers_as_they_were(nets):
    torch.manual_seed(5)
    models.check(config("build"), (5, 5))
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
