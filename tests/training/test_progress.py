import pytest
import torch
from torch import nn

from training.config import EarlyStopping, Objective
from training.progress import Epoch, Progress


def entered(*measured, objective=None, chooses=True):
    """A progress that these accuracies and losses of validation were entered into, and the weight at each."""
    progress, network = Progress(objective or Objective(), chooses), nn.Linear(1, 1)
    for number, (accuracy, loss) in enumerate(measured, 1):
        nn.init.constant_(network.weight, number)
        progress.enter(Epoch(number, 1.0, 0.5, loss, accuracy, 0.1, 1.0), network)
    return progress


@pytest.mark.parametrize(
    "measured, best",
    [
        ([(0.5, 1.0), (0.9, 0.8), (0.7, 0.1)], 2),
        ([(0.5, 1.0), (0.9, 0.8), (0.9, 0.3), (0.9, 0.5)], 3),  # of equals the one of lesser loss
        ([(0.9, 0.3), (0.9, 0.3)], 1),
    ],
)
def test_the_best_epoch_is_kept_with_its_weights(measured, best):
    progress = entered(*measured)
    assert progress.best.epoch == best and progress.weights["weight"].item() == best


def test_where_nothing_is_chosen_the_last_epoch_is_kept():
    progress = entered((0.9, 0.1), (0.5, 0.9), chooses=False)
    assert progress.best.epoch == 2 and progress.weights["weight"].item() == 2 and progress.scores == []


def test_there_is_no_best_before_a_measurement():
    with pytest.raises(RuntimeError, match="has not measured an epoch"):
        _ = entered().best


def test_a_history_is_restored():
    before = entered((0.5, 1.0), (0.9, float("nan")), (0.7, 0.1))
    after = Progress(Objective(), True)
    after.restore([epoch.record() for epoch in before.epochs], before.weights)
    assert [epoch.record() for epoch in after.epochs] == [epoch.record() for epoch in before.epochs]
    assert (after.best.epoch, after.trained, after.scores) == (2, 3, before.scores)
    assert torch.equal(after.weights["weight"], before.weights["weight"])


def test_early_stopping_counts_measurements_without_a_better_score():
    stopping = EarlyStopping(patience=2)
    assert not entered((0.9, 0.5), (0.8, 0.4)).stopped(stopping)
    assert entered((0.9, 0.5), (0.8, 0.4), (0.9, 0.3)).stopped(stopping)
    assert not entered((0.9, 0.5), (0.8, 0.4), (0.9, 0.3)).stopped(None)
