import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from registry import paired
from registry.evidence import Evidence
from registry.paired import Paired
from tailorbird.package.heldout import Heldout
from tailorbird.package.signature import Signature
from tests.packages import ABOUT

CLASSES = ("cat", "dog", "owl")
COUNTS = st.integers(0, 60)
TABLES = st.builds(Paired, COUNTS, COUNTS, COUNTS, COUNTS).filter(lambda pair: pair.images)


def version(ids, answers, labels, classes=CLASSES):
    """Evidence of a version that answers the images `ids` (numbers) with the classes `answers` (indices)."""
    rows = np.zeros((len(ids), 16), np.uint8)
    rows[:, :4] = np.array(ids, "<i4").reshape(-1, 1).view("u1")
    heldout = Heldout(rows, np.eye(len(classes), dtype=np.float32)[answers], np.array(labels, np.int32))
    signature = Signature.model_construct(classes=classes)
    return Evidence("fashion", 1, ABOUT.evidence, signature=signature, heldout=heldout)


def table(shared):
    pair = shared.overall()
    return pair.both, pair.gained, pair.lost, pair.neither


# --- the test and the interval


@given(TABLES)
def test_p_values_are_those_of_an_exact_binomial_test(pair):
    assume(differ := pair.gained + pair.lost)
    better = binomtest(pair.gained, differ, alternative="greater").pvalue
    worse = binomtest(pair.lost, differ, alternative="greater").pvalue
    assert pair.p_better() == pytest.approx(better, rel=1e-9)
    assert pair.p_worse() == pytest.approx(worse, rel=1e-9)


def score(pair, true):
    """Of a difference: (seen - true) in standard errors, with the likeliest chances under `true` found by search."""
    low, high = max(0.0, -true), min(1.0, (1 - true) / 2)  # what the chance of a loss can be

    def unlikely(losing):
        shares = (losing + true, losing, 1 - true - 2 * losing)
        counts = (pair.gained, pair.lost, pair.both + pair.neither)
        return -sum(count * math.log(max(share, 1e-300)) for count, share in zip(counts, shares, strict=True) if count)

    losing = minimize_scalar(unlikely, (low, high), (low, high), method="bounded", options={"xatol": 1e-13}).x
    variance = 2 * losing + true - true**2
    return (pair.difference - true) / math.sqrt(variance / pair.images)


@given(TABLES.filter(lambda pair: pair.images >= 5))
def test_at_the_ends_of_the_interval_what_was_seen_is_one_case_in_twenty(pair):
    low, high = pair.interval()
    assert low > -1 or pair.lost == pair.images
    if low > -0.999:
        assert score(pair, low) == pytest.approx(1.6448536, abs=2e-3)
    if high < 0.999:
        assert score(pair, high) == pytest.approx(-1.6448536, abs=2e-3)


@pytest.mark.parametrize(("gained", "lost"), [(5000, 4800), (0, 10_000), (10_000, 0), (1, 9999)])
def test_thousands_of_images_that_differ_neither_overflow_nor_underflow(gained, lost):
    pair = Paired(20_000, gained, lost, 0)
    assert score(pair, pair.interval()[0]) == pytest.approx(1.6448536, abs=2e-3)
    better = binomtest(gained, gained + lost, alternative="greater").pvalue
    assert pair.p_better() == pytest.approx(better, rel=1e-8, abs=1e-300)


@given(TABLES)
def test_the_interval_holds_the_difference_and_lies_within_what_is_possible(pair):
    low, high = pair.interval()
    assert -1 <= low <= pair.difference <= high <= 1
    assert pair.difference == pytest.approx(pair.accuracies[0] - pair.accuracies[1])


@given(TABLES)
def test_the_two_sides_are_mirror_images(pair):
    mirrored = replace(pair, gained=pair.lost, lost=pair.gained)
    assert mirrored.difference == -pair.difference
    assert mirrored.interval() == pytest.approx([-end for end in pair.interval()[::-1]], abs=1e-12)
    assert mirrored.p_better() == pair.p_worse()


@given(TABLES)
def test_one_image_more_that_is_gained_speaks_for_the_candidate(pair):
    more = replace(pair, gained=pair.gained + 1, both=pair.both + 1)  # of two that neither could tell
    images = pair.images + 2
    same = replace(pair, neither=pair.neither + 2)
    assert more.images == same.images == images
    assert more.p_better() <= same.p_better() + 1e-12 and more.p_worse() >= same.p_worse() - 1e-12
    assert more.interval()[1] >= same.interval()[1] - 1e-7
    fewer = replace(same, lost=pair.lost + 1, neither=pair.neither + 1)
    assert fewer.interval()[0] <= same.interval()[0] + 1e-7


def test_where_nothing_differs_nothing_is_proved_and_more_images_doubt_less():
    few, many = Paired(90, 0, 0, 10), Paired(9000, 0, 0, 1000)
    assert few.p_better() == few.p_worse() == 1.0
    assert few.accuracies == (0.9, 0.9)
    z = 1.6448536
    for pair in (few, many):
        assert pair.interval() == pytest.approx((-(z**2) / (pair.images + z**2), z**2 / (pair.images + z**2)), abs=1e-6)


@pytest.mark.parametrize(("images", "gains", "losses"), [(5000, 0, 0.01), (5000, 0.005, 0.015), (1000, 0.02, 0.03)])
def test_an_end_of_the_interval_is_wrong_in_about_one_of_twenty_cases(images, gains, losses):
    drawn = np.random.default_rng(0).multinomial(images, [gains, losses, 1 - gains - losses], 1000).tolist()
    wrong = [Paired(rest, gained, lost, 0).interval()[0] > gains - losses for gained, lost, rest in drawn]
    assert 0.03 < np.mean(wrong) < 0.075


# --- which images are shared


def test_images_are_joined_by_id_in_whatever_order_they_are():
    ours = version([1, 2, 3, 4], [0, 1, 2, 0], [0, 1, 0, 1])
    theirs = version([4, 3, 2, 1, 5], [1, 2, 1, 2, 0], [1, 0, 1, 0, 0])
    shared = paired.shared(ours, theirs)
    assert table(shared) == (1, 1, 1, 1)  # 2 both, 1 ours, 4 theirs, 3 neither
    assert (len(shared), shared.of) == (4, 4)
    assert shared.of_class(0) == Paired(both=0, gained=1, lost=0, neither=1)
    assert shared.of_class(1) == Paired(both=1, gained=0, lost=1, neither=0)
    assert shared.of_class(2).images == 0


def test_the_same_order_gives_what_any_other_does():
    random = np.random.default_rng(1)
    ids, labels = np.arange(200), random.integers(0, 3, 200)
    ours, theirs = (version(ids, random.integers(0, 3, 200), labels) for _ in range(2))
    order = random.permutation(200)
    shuffled = version(ids[order], theirs.heldout.probabilities.argmax(1)[order], labels[order])
    assert table(paired.shared(ours, theirs)) == table(paired.shared(ours, shuffled))


def test_an_image_that_is_in_a_split_twice_counts_twice():
    ours = version([1, 1, 2, 3], [0, 0, 1, 0], [0, 0, 1, 1])
    assert table(paired.shared(ours, version([2, 1, 1], [0, 0, 0], [1, 0, 0]))) == (2, 1, 0, 0)
    assert len(paired.shared(ours, version([1, 2], [0, 0], [0, 1]))) == 2
    assert paired.shared(ours, version([1, 2], [0, 0], [0, 1])).of == 2


def test_an_image_whose_true_class_changed_is_not_shared():
    ours = version([1, 2, 3], [0, 1, 2], [0, 1, 2])
    theirs = version([1, 2, 3], [0, 1, 2], [0, 2, 2])
    assert table(paired.shared(ours, theirs)) == (2, 0, 0, 0)


def test_what_cannot_be_read_is_not_compared():
    ours = version([1], [0], [0])
    assert paired.shared(ours, replace(ours, heldout=None)) is None
    assert paired.shared(replace(ours, heldout=None), ours) is None


def test_classes_are_compared_by_name():
    ours = version([1, 2, 3], [0, 1, 2], [0, 1, 2])
    theirs = version([1, 2, 3], [2, 0, 1], [2, 0, 1], classes=("dog", "owl", "cat"))
    assert table(paired.shared(ours, theirs)) == (3, 0, 0, 0)
    other = version([1, 2, 3], [2, 0, 1], [2, 0, 1], classes=("dog", "emu", "cat"))
    assert table(paired.shared(ours, other)) == (2, 0, 0, 0)


def test_an_answer_that_is_no_number_is_wrong():
    ours, theirs = version([1, 2], [0, 1], [0, 1]), version([1, 2], [0, 1], [0, 1])
    ours.heldout.probabilities[0] = np.nan  # whose argmax is 0, the true class
    theirs.heldout.probabilities[1] = [0, math.inf, 0]
    assert table(paired.shared(ours, theirs)) == (0, 1, 1, 0)


def test_splits_without_a_common_image_share_nothing():
    shared = paired.shared(version([1, 2], [0, 1], [0, 1]), version([3, 4, 5], [0, 1, 1], [0, 1, 1]))
    assert (len(shared), shared.of) == (0, 2)
