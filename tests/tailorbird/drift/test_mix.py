import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.drift import mix

LIKELIHOOD = np.array([[0.7, 0.2, 0.05, 0.05], [0.1, 0.1, 0.6, 0.2]])
"""Of two classes, over two predicted ones with two bins each."""


@given(st.floats(0.02, 0.98))
def test_a_mix_is_recovered_from_what_it_makes(share):
    counts = 1000 * np.array([share, 1 - share]) @ LIKELIHOOD
    assert mix.fit(counts, LIKELIHOOD) == pytest.approx([share, 1 - share], abs=1e-3)


@given(st.floats(0.02, 0.98))
def test_accuracy_is_that_of_the_mix(share):
    counts = (1000 * np.array([share, 1 - share]) @ LIKELIHOOD).reshape(2, 2)
    assert mix.accuracy(counts, LIKELIHOOD) == pytest.approx(share * 0.9 + (1 - share) * 0.8, abs=1e-3)


def test_a_cell_that_no_class_explains_counts_as_wrong():
    likelihood = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0]])
    assert mix.accuracy(np.array([[5.0, 5.0], [10.0, 0.0]]), likelihood) == pytest.approx(0.75)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.05, 0.95)])
def test_its_noise_is_how_draws_of_predictions_and_held_out_examples_spread(shares):
    random = np.random.default_rng(0)

    def drop():
        heldout = np.stack([random.multinomial(300, row) for row in LIKELIHOOD]) + 0.01
        counts = random.multinomial(500, np.array(shares) @ LIKELIHOOD).reshape(2, 2)
        right = heldout[0, :2].sum() + heldout[1, 2:].sum()
        estimate = mix.accuracy(counts, heldout / heldout.sum(1, keepdims=True))
        return right / heldout.sum() - estimate, mix.noise(counts, heldout)

    drops, noises = np.array([drop() for _ in range(200)]).T
    assert noises.mean() == pytest.approx(drops.std(), rel=0.25)
