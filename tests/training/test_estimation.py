"""On the digits that scikit-learn carries, and a linear model of them."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from tailorbird.drift import cells
from training import corruptions, estimation

CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def digits():
    """A model's answer, the held-out images and targets, and as many of a test split."""
    bunch = load_digits()
    images, targets = (bunch.images * 255 / 16).astype(np.uint8), bunch.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    images, targets = images[order], targets[order]
    model = LogisticRegression(max_iter=300).fit(images[:600].reshape(600, -1) / 255, targets[:600])
    answer = lambda batch: model.predict_proba(batch.reshape(len(batch), -1) / 255)  # noqa: E731
    return answer, (images[600:1200], targets[600:1200]), (images[1200:], targets[1200:])


@pytest.fixture(scope="module")
def fitted(digits):
    answer, (images, targets), _ = digits
    return fit(images, targets, answer)


def fit(images, targets, answer):
    return estimation.fit(estimation.mix_only(answer(images), targets, CLASSES), images, targets, answer)


def off(estimate, digits, corrupt):
    """By how much an estimate is wrong, and how much doing nothing is, on test images that are corrupted."""
    answer, _, (images, targets) = digits
    probabilities = answer(corrupt(images))
    predicted = probabilities.argmax(1)
    return estimate(cells.tally(predicted, probabilities.max(1), 10)) - (predicted == targets).mean()


def test_it_sees_drops_of_corruptions_that_it_was_not_fitted_on(fitted, digits):
    def striped(images):
        return np.where(np.random.default_rng(0).random((len(images), 8, 1)) < 0.15, 255, images).astype(np.uint8)

    ours = abs(off(fitted.fitted, digits, striped))
    nothing = abs(off(lambda _: fitted.accuracy, digits, striped))
    assert ours < 0.5 * nothing


def test_what_is_as_at_registration_is_estimated_as_it_was(fitted):
    assert fitted.fitted(fitted.counts) == pytest.approx(fitted.accuracy)
    assert fitted.accuracy > 0.9


def test_it_states_an_error_of_families_that_were_left_out(fitted):
    assert 0.002 < fitted.error.small < fitted.error.p90 < 0.15
    assert fitted.error.small < fitted.error.all


def test_fitting_again_gives_the_same(fitted, digits, monkeypatch):
    monkeypatch.setattr(estimation, "WINDOWS", 200)
    answer, (images, targets), _ = digits
    twice = [fit(images[:300], targets[:300], answer).encode() for _ in range(2)]
    assert twice[0] == twice[1]


def test_a_class_that_was_not_held_out_breaks_nothing(digits, monkeypatch):
    monkeypatch.setattr(estimation, "WINDOWS", 200)
    answer, (images, targets), _ = digits
    kept = targets != 3
    assert np.isfinite(fit(images[kept], targets[kept], answer).weights).all()


def test_every_family_and_strangers_are_in_it(digits):
    answer, (images, targets), _ = digits
    families = estimation._families(images[:20], targets[:20], answer, np.random.default_rng(0))
    assert families.keys() == {*corruptions.FAMILIES, estimation.STRANGERS}
    assert not families[estimation.STRANGERS][0].correct.any()
