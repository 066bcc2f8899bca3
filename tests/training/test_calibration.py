import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn import metrics
from torch.nn import functional

from training import calibration


def drawn(chances, random):
    """A class of each row of chances."""
    return (chances.cumsum(1) > random.random((len(chances), 1))).argmax(1)


def sigmoid_case(random, shape, sharper=3.0):
    logits = random.normal(0, 2, shape)
    return (sharper * logits).astype(np.float32), random.random(shape) < expit(logits)


def cases():
    random = np.random.default_rng(7)
    logits = random.normal(0, 2, (400, 5))
    multiclass = (2.5 * logits).astype(np.float32), drawn(softmax(logits, 1), random)
    one, there = sigmoid_case(random, (400, 1))
    many, labels = sigmoid_case(random, (300, 4), 0.4)
    yield "multiclass", *multiclass
    yield "binary", one, there[:, 0].astype(np.int64)
    yield "multilabel", many, labels.astype(np.float32)


def loss(kind, logits, targets, temperature):
    """PyTorch's own cross entropy, a share of the targets as of one example more being any class."""
    scaled, unsure = torch.from_numpy(logits).double() / temperature, 1 / (len(targets) + 1)
    targets = torch.from_numpy(targets)
    if kind == "multiclass":
        return functional.cross_entropy(scaled, targets, label_smoothing=unsure).item()
    indicators = targets.double().reshape(scaled.shape) * (1 - unsure) + unsure / 2
    return functional.binary_cross_entropy_with_logits(scaled, indicators).item()


@pytest.mark.parametrize(
    ("kind", "logits", "targets"), list(cases()), ids=lambda value: value if type(value) is str else ""
)
def test_the_temperature_is_that_of_a_brute_force_grid(kind, logits, targets):
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 6001))  # steps of a thousandth
    best = grid[np.argmin([loss(kind, logits, targets, t) for t in grid])]
    result = calibration.temperature(logits, targets, kind)
    assert result == pytest.approx(best, rel=2e-3) and abs(np.log(result)) > 0.3
    least = min(loss(kind, logits, targets, t) for t in (0.99 * result, 1.01 * result))
    assert loss(kind, logits, targets, result) < least


@pytest.mark.parametrize("known", [0.25, 0.7, 1.0, 1.8, 6.0])
def test_a_known_temperature_is_found_again(known):
    random = np.random.default_rng(1)
    logits = random.normal(0, 2.5, (20_000, 10))
    labels = drawn(softmax(logits, 1), random)
    result = calibration.temperature((known * logits).astype(np.float32), labels, "multiclass")
    assert result == pytest.approx(known, rel=0.03)


@pytest.mark.parametrize("known", [0.25, 1.0, 6.0])
@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_a_known_temperature_of_sigmoids_is_found_again(kind, known):
    logits, there = sigmoid_case(np.random.default_rng(2), (20_000, 1 if kind == "binary" else 3), known)
    targets = there[:, 0].astype(np.int64) if kind == "binary" else there.astype(np.float32)
    assert calibration.temperature(logits, targets, kind) == pytest.approx(known, rel=0.05)


def test_a_temperature_changes_no_label_and_lowers_the_loss():
    random = np.random.default_rng(2)
    logits = random.normal(0, 8, (500, 4)).astype(np.float32)
    labels = np.where(random.random(500) < 0.7, logits.argmax(1), random.integers(0, 4, 500))
    result = calibration.temperature(logits, labels, "multiclass")
    losses = [
        metrics.log_loss(labels, softmax(logits / t, 1), labels=range(4))
        for t in (result, 1.0, 1.1 * result, result / 1.1)
    ]
    assert losses[0] < min(losses[1:])
    assert ((logits / result).argmax(1) == logits.argmax(1)).all()


def test_without_examples_the_temperature_is_one_and_so_is_that_of_a_regression():
    assert calibration.temperature(np.empty((0, 10), np.float32), np.empty(0, np.int64), "multiclass") == 1.0
    assert calibration.temperature(np.float32([[3.0], [4.0]]), np.float32([1, 9]), "regression") == 1.0


@pytest.mark.parametrize("images", [20, 180, 2000])
def test_a_split_without_an_error_is_no_certainty(images):
    """Else the temperature goes to its least, and the first error of the held-out split costs as much as all others."""
    random = np.random.default_rng(3)
    logits = random.normal(0, 1, (images, 10))
    labels = random.integers(0, 10, images)
    logits[np.arange(images), labels] += 8
    result = calibration.temperature(logits.astype(np.float32), labels, "multiclass")
    wrong = 1 - softmax(logits / result, 1)[np.arange(images), labels].mean()
    assert 0.2 / images < wrong < 2 / images


@pytest.mark.parametrize("share", [0.5, 1])
@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_sigmoids_without_an_error_are_no_certainty_either(kind, share):
    random = np.random.default_rng(4)
    targets = (random.random((200, 1 if kind == "binary" else 3)) < share).astype(int)
    logits = ((2 * targets - 1) * random.uniform(6, 9, targets.shape)).astype(np.float32)
    result = calibration.temperature(logits, targets[:, 0] if kind == "binary" else targets.astype(np.float32), kind)
    wrong = 1 - np.where(targets, expit(logits / result), expit(-logits / result)).mean()
    assert 0.2 / 200 < wrong < 2 / 200
