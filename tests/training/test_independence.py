import numpy as np
import pytest
import torch
from torch import nn

from registry import gates
from registry.evidence import Evidence
from registry.policy import Policy
from tests.packages import ABOUT
from training import export, independence
from training.export import ServedModule
from training.network import fresh


class AcrossTheBatch(nn.Module):
    """A softmax over the wrong axis, which a network of the user's own may end in."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, inputs):
        return torch.log_softmax(self.network(inputs), dim=0)


@pytest.fixture(scope="module")
def network(trained, digit_splits):
    run = fresh(trained.config, digit_splits)
    run.load_state_dict(trained.best_state)
    return run


def measured(network, split):
    served = ServedModule(network, "multiclass", 1.0)
    model = export.to_onnx(served, (8, 8))
    whole = export.evaluate(model, split, "multiclass")
    assert export.parity(served, whole, split).agreement == 1.0  # equal batches tell nothing
    return independence.measure(served, model, whole, split)


def refused(batches):
    figures = ABOUT.evidence.model_copy(update={"batches": batches})
    return gates.judge(Evidence("digits", 1, figures, size=1), None, Policy()).reasons


def test_a_network_answers_an_example_alike_whatever_stands_beside_it(network, digit_splits):
    batches = measured(network, digit_splits.holdout)
    assert (batches.agreement, batches.samples) == (1.0, independence.MOST) and batches.max_difference < 1e-5
    assert refused(batches) == []


def test_one_that_does_not_is_found_out_and_refused(network, digit_splits):
    batches = measured(AcrossTheBatch(network), digit_splits.holdout)
    assert batches.agreement < 0.5 and batches.max_difference > 0.1
    [reason] = refused(batches)
    assert reason.startswith(
        "answers depend on the rest of the batch: one by one and in other batches the export agrees with itself"
    )


def test_so_is_one_whose_probabilities_alone_move(network, digit_splits):
    class Warmer(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, inputs):
            return self.network(inputs) * (1 + 1 / torch.ones_like(inputs[:, 0, 0], dtype=torch.float32).sum())

    batches = measured(Warmer(), digit_splits.holdout)
    assert batches.agreement == 1.0 and batches.max_difference > 1e-3
    [reason] = refused(batches)
    assert "the export's probabilities differ from its own by" in reason


def test_a_split_smaller_than_the_examples_is_taken_whole(network, digit_splits):
    few = digit_splits.holdout.only(np.arange(5))
    assert measured(network, few).samples == 5
