import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog

from tailorbird.drift import transport


def exact(probabilities, mix):
    """The same as a linear programme over all assignments."""
    count, classes = probabilities.shape
    rows = sparse.kron(sparse.eye(count), np.ones((1, classes)))
    columns = sparse.kron(np.ones((1, count)), sparse.eye(classes))
    sums = np.concatenate([np.ones(count), mix * count])
    return -linprog(-probabilities.ravel() / count, A_eq=sparse.vstack([rows, columns]), b_eq=sums).fun


@pytest.mark.parametrize("sharpness", [0.5, 3, 12])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_estimate_is_the_optimum_of_the_transport(classes, sharpness):
    random = np.random.default_rng(classes)
    powers = np.exp(sharpness * random.normal(size=(200, classes)) + random.normal(size=classes))
    probabilities, mix = powers / powers.sum(1, keepdims=True), random.dirichlet(np.full(classes, 5.0))
    assert transport.accuracy(probabilities, mix) == pytest.approx(exact(probabilities, mix), abs=2e-3)


def test_strangers_that_look_like_one_class_are_seen_where_the_mix_holds():
    sure = np.eye(4)[np.arange(400) % 4]
    assert transport.accuracy(sure, np.full(4, 0.25)) == pytest.approx(1)
    sure[:100] = np.eye(4)[0]
    assert transport.accuracy(sure, np.full(4, 0.25)) == pytest.approx(0.8125, abs=2e-3)


def test_a_class_that_the_baseline_lacks_gets_nothing():
    assert transport.accuracy(np.eye(2)[[0, 1]], np.array([1.0, 0.0])) == pytest.approx(0.5)


@pytest.mark.parametrize("mix", [(0.25, 0.25, 0.25, 0.25), (0.7, 0.2, 0.1, 0.0)])
def test_chance_takes_no_more_of_the_estimate_than_is_told(mix):
    random = np.random.default_rng(0)
    draws = [np.eye(4)[random.choice(4, transport.ANSWERS, p=mix)] for _ in range(10)]
    lost = [1 - transport.accuracy(draw, np.array(mix)) for draw in draws]
    assert 0.5 < np.mean(lost) / transport.chance(np.array(mix)) < 1.1  # the prices are an upper bound of the estimate
