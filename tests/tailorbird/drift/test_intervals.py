import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaln

from tailorbird.drift import intervals

PRIOR = np.array([0.5, 0.8, 0.99])
SHARES = np.array([0.1, 0.3, 0.6])


@st.composite
def labels(draw):
    counts = draw(st.lists(st.integers(0, 3000), min_size=3, max_size=3))
    return np.array(counts, float), np.array([draw(st.integers(0, count)) for count in counts], float)


@given(labels())
def test_the_value_lies_within_its_interval_which_lies_within_0_and_1(given_labels):
    count, correct = given_labels
    interval = intervals.accuracy(count, correct, SHARES, PRIOR)
    if not count.sum():
        assert interval is None
    else:
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
        assert interval.labels == count.sum()


@given(labels())
def test_the_interval_mirrors_where_right_and_wrong_are_swapped(given_labels):
    count, correct = given_labels
    if count.sum():
        interval = intervals.accuracy(count, correct, SHARES, PRIOR)
        mirrored = intervals.accuracy(count, count - correct, SHARES, 1 - PRIOR)
        assert [mirrored.low, mirrored.high] == pytest.approx([1 - interval.high, 1 - interval.low], abs=1e-6)


def test_the_ends_are_where_the_prior_explains_labels_twenty_times_better():
    right, wrong, prior = 170.0, 30.0, 0.9
    interval = intervals.accuracy(np.array([right + wrong]), np.array([right]), np.ones(1), np.array([prior]))
    a, b = intervals.STRENGTH * prior, intervals.STRENGTH * (1 - prior)
    mixture = betaln(a + right, b + wrong) - betaln(a, b)
    for end in (interval.low, interval.high):
        assert mixture - right * np.log(end) - wrong * np.log1p(-end) == pytest.approx(np.log(20), abs=1e-6)


def test_a_stratum_without_labels_may_be_anything():
    interval = intervals.accuracy(np.array([0.0, 500, 500]), np.array([0.0, 400, 495]), SHARES, PRIOR)
    assert interval.high - interval.low > SHARES[0]
    assert interval.value == pytest.approx(0.1 * 0.5 + 0.3 * 0.8 + 0.6 * 0.99)


def test_labels_that_come_where_confidence_is_low_do_not_bias_the_value():
    random = np.random.default_rng(0)
    true = np.array([0.4, 0.75, 0.98])
    count = np.array([6000.0, 3000.0, 1000.0])
    correct = random.binomial(count.astype(int), true).astype(float)
    interval = intervals.accuracy(count, correct, SHARES, PRIOR)
    assert interval.value == pytest.approx(SHARES @ true, abs=0.005)
    assert abs(correct.sum() / count.sum() - SHARES @ true) > 0.2


@pytest.mark.parametrize("true", [PRIOR, np.array([0.3, 0.6, 0.9])], ids=["as expected", "worse"])
def test_an_interval_that_is_looked_at_again_and_again_is_seldom_ever_wrong(true):
    random = np.random.default_rng(1)
    looks = np.unique(np.geomspace(10, 10_000, 25).astype(int))
    wrong = 0
    for _ in range(20):
        stratum = random.choice(3, looks[-1], p=SHARES)
        right = random.random(looks[-1]) < true[stratum]
        ever = False
        for look in looks:
            count = np.bincount(stratum[:look], minlength=3).astype(float)
            correct = np.bincount(stratum[:look], right[:look], minlength=3)
            interval = intervals.accuracy(count, correct, SHARES, PRIOR)
            ever |= not interval.low <= SHARES @ true <= interval.high
        wrong += ever
    assert wrong <= 3  # 5% of 20 is one; four or more would be one in 60


def test_so_many_labels_as_are_needed_make_the_interval_narrow():
    empty = np.zeros(3)
    count = intervals.needed(empty, empty, SHARES, PRIOR, 0.04)
    assert 500 < count < 20_000
    labelled = SHARES * count
    interval = intervals.accuracy(labelled, labelled * PRIOR, SHARES, PRIOR)
    assert interval.high - interval.low == pytest.approx(0.04, rel=0.05)
    assert intervals.needed(labelled, labelled * PRIOR, SHARES, PRIOR, 0.05) <= 1


def test_where_labels_of_one_stratum_never_do_it_labels_of_all_are_needed():
    empty, labelled = np.zeros(3), np.array([2.0, 0, 0])
    count = intervals.needed(labelled, np.zeros(3), SHARES, PRIOR, 0.04)
    assert count == pytest.approx(intervals.needed(empty, empty, SHARES, PRIOR, 0.04), rel=0.05)
