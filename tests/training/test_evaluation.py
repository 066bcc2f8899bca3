import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from torch import nn

from tailorbird import shares
from tailorbird.errors import InvalidInput
from training import calibration, evaluation, splits
from training.config import DataConfig
from training.network import fresh
from training.scores import Binary, Classification, Multilabel, Regression
from training.splits import Split

KINDS = {"multiclass": 3, "binary": 1, "multilabel": 3, "regression": 1}


def targets(kind, count, random):
    match kind:
        case "multilabel":
            return random.integers(0, 2, (count, 3)).astype(np.float32)
        case "regression":
            return random.normal(5, 2, count).astype(np.float32)
    return random.integers(0, 2 if kind == "binary" else 3, count)


@pytest.fixture
def part():
    """Makes a split of rows of a kind."""

    def make(kind, count=100):
        random = np.random.default_rng(0)
        rows = random.normal(0, 1, (count + 7, 4)).astype(np.float32)
        places = random.permutation(count + 7)[:count]
        return Split(rows, places, targets(kind, count, random), np.zeros((count, 16), np.uint8))

    return make


def network(kind):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.9), nn.Linear(16, KINDS[kind]))


def expected(kind, logits):
    """Probabilities of logits in numpy."""
    match kind:
        case "multiclass":
            return softmax(logits, 1)
        case "binary":
            return np.hstack([1 - expit(logits), expit(logits)])
        case "multilabel":
            return expit(logits)


@pytest.mark.parametrize(
    ("kind", "made"), list(zip(KINDS, (Classification, Binary, Multilabel, Regression), strict=True)), ids=list(KINDS)
)
def test_each_kind_is_scored_as_what_it_is(part, kind, made):
    split, net = part(kind), network(kind)
    one = evaluation.of(net, split, kind, temperature=2.5)
    assert type(one) is made and one.targets is split.targets
    with torch.inference_mode():
        logits = net.eval()(torch.from_numpy(split.inputs[split.places])).numpy().astype(np.float64)
    if kind == "regression":
        np.testing.assert_allclose(one.predictions, logits, atol=1e-6)
        return
    np.testing.assert_allclose(one.probabilities, expected(kind, logits / 2.5), atol=1e-6)
    np.testing.assert_allclose(one.uncalibrated, expected(kind, logits), atol=1e-6)
    assert one.probabilities.dtype == np.float64
    assert one.nll != one.nll_uncalibrated


def test_without_a_temperature_both_losses_are_one(part):
    one = evaluation.of(network("multilabel"), part("multilabel"), "multilabel")
    assert one.nll == one.nll_uncalibrated


@pytest.mark.parametrize("kind", KINDS)
def test_the_temperature_is_fitted_on_the_outputs_for_validation(part, kind):
    split, net = part(kind), network(kind)
    result = evaluation.temperature(net, split, kind)
    assert result == calibration.temperature(evaluation.logits(net, split), split.targets, kind)
    assert (result == 1) == (kind == "regression")
    assert evaluation.temperature(net, split.only(slice(0)), kind) == 1


def test_logits_are_those_of_the_network_at_rest_however_many_images_there_are(run_config, blobs):
    config = run_config(model={"family": "cnn", "width": 3, "dropout": 0.5})
    dataset = blobs(images=splits.TOGETHER + 2)
    images = dataset.inputs
    images.setflags(write=False)
    dealt = splits.split(dataset, DataConfig(name="digits", validation=0, holdout=0, test=1))
    part = Split(images, np.arange(len(images)), dataset.targets, np.zeros((len(images), 16), np.uint8))
    network = fresh(config, replace(dealt, train=part))
    network.train()
    result = evaluation.logits(network, part)
    assert network.training, "measuring changes nothing about the network"
    assert result.shape == (len(images), 3) and result.dtype == np.float32
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(images.copy())).numpy()
    np.testing.assert_allclose(result, expected, atol=1e-5)
    evaluation.logits(network, part)
    assert not network.training


def test_what_is_measured_is_measured_in_fp32_wherever_it_is_asked_for(part):
    split, net = part("multiclass"), network("multiclass")
    plain = evaluation.logits(net, split)
    with torch.autocast("cpu", torch.bfloat16):
        assert (evaluation.logits(net, split) == plain).all()


def test_the_val_loss_of_a_run_is_the_nll_without_temperature(trained, digit_splits):
    """Two ways to one figure: the loop's, from logits, and that of probabilities."""
    network = fresh(trained.config, digit_splits)
    network.load_state_dict(trained.best_state)
    one = evaluation.of(network, digit_splits.validation, "multiclass", 1.3)
    assert one.nll_uncalibrated == pytest.approx(trained.best.val_loss, abs=1e-6)
    assert one.accuracy == pytest.approx(trained.best.val_accuracy)


@pytest.mark.parametrize(("name", "holdout", "test"), [("held-out", math.nan, 0.5), ("test", 0.5, math.nan)])
def test_answers_that_are_no_numbers_make_no_baseline(name, holdout, test):
    parts = [np.float32([[0.5, 0.5], [first, 0.5]]) for first in (holdout, test)]
    answered = [Classification(np.array([0, 1]), part, part) for part in parts]
    with pytest.raises(InvalidInput, match=f"^model: gives 1 of 2 {name} examples probabilities that are NaN"):
        evaluation.baseline(*answered, ["head", "tail"])


def test_a_baseline_is_of_the_held_out_split_but_for_test():
    answers = np.float32([[0.92, 0.08], [0.25, 0.75], [0.45, 0.55], [1.0, 0.0]])
    holdout = Classification(np.array([0, 1, 0, 0]), answers, np.full((4, 2), 0.5, np.float32))
    tested = np.float32([[0.9, 0.1], [0.2, 0.8]])
    baseline = evaluation.baseline(holdout, Classification(np.array([1, 0]), tested, tested), ["head", "tail"])
    assert baseline.record() == {
        "accuracy": 0.75,
        "standard_error": shares.standard_error(0.75, 4),
        "samples": 4,
        "nll": pytest.approx(-(math.log(0.92) + math.log(0.75) + math.log(0.45)) / 4),
        "nll_uncalibrated": pytest.approx(math.log(2)),
        "calibration_error": pytest.approx((0.08 + 0.25 + 0.55) / 4),
        "confusion": [[2, 1], [0, 1]],
        "bins": {
            "head": {"0.9": {"count": 1, "correct": 1}, "0.999": {"count": 1, "correct": 1}},
            "tail": {"0.5": {"count": 1, "correct": 0}, "0.7": {"count": 1, "correct": 1}},
        },
        "test": {"accuracy": 0.0, "samples": 2},
    }
