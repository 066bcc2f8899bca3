import numpy as np
import pytest

from tailorbird.drift import change


def delays(error, shift, streams=400, before=300, seed=0):
    """After how many labels each stream alarms whose rate of errors rises by `shift`, 0.7 points above its baseline."""
    random = np.random.default_rng(seed)
    statistics, true = change.start(streams), error + 0.007
    for _ in range(before):
        statistics = change.step(statistics, random.random(streams) < true, error)
    first = np.zeros(streams)
    for label in range(1, 4000):
        statistics = change.step(statistics, random.random(streams) < true + shift, error)
        first[(change.evidence(statistics) >= change.THRESHOLD) & (first == 0)] = label
        if first.all():
            break
    return first


@pytest.mark.parametrize(("error", "median", "p90"), [(0.02, 218, 461), (0.05, 349, 728), (0.09, 493, 1024)])
def test_a_rise_of_five_points_is_found_about_as_soon_as_by_a_cusum_that_was_made_for_it(error, median, p90):
    result = delays(error, 0.05)
    assert np.median(result) <= 1.2 * median
    assert np.quantile(result, 0.9) <= 1.2 * p90


def test_what_the_tolerance_allows_is_seldom_a_change():
    random = np.random.default_rng(0)
    statistics, alarmed = change.start(100), np.zeros(100, bool)
    for _ in range(3000):
        statistics = change.step(statistics, random.random(100) < 0.05 + change.TOLERANCE, 0.05)
        alarmed |= change.evidence(statistics) >= change.THRESHOLD
    assert alarmed.sum() <= 7  # 300,000 labels alarm three times at the most on the mean


def test_the_statistics_grow_by_one_a_label_on_the_mean_where_nothing_changed():
    # what the bound on false alarms rests on: E[R' - R] = 1 at the tolerated rate
    error = 0.05 + change.TOLERANCE
    before = np.tile(np.array([3.0, 1.0, 0.0, 7.0, 2.0]), (1, 1))
    after = [change.step(before, np.array([wrong]), 0.05) for wrong in (True, False)]
    mean = error * after[0] + (1 - error) * after[1]
    assert mean == pytest.approx(before + 1)
    assert pytest.approx(1) == change.WEIGHTS.sum()


@pytest.mark.parametrize("error", [0.5, 0.9, 1.0])
def test_a_model_that_is_mostly_wrong_has_likelihoods_too(error):
    statistics = change.step(np.ones((1, 5)), np.array([False]), error)
    assert (statistics > 0).all()
    assert (change.step(np.ones((1, 5)), np.array([True]), error) > 2).all()


@pytest.mark.parametrize("tolerance", [change.TOLERANCE, 0.03])
def test_labels_all_at_once_are_as_label_by_label(tolerance):
    random = np.random.default_rng(0)
    wrong, errors = random.random(500) < 0.12, random.uniform(0.01, 0.2, 500)
    statistics = change.start()
    for label, error in zip(wrong, errors, strict=True):
        statistics = change.step(statistics, label, error, tolerance)
    assert change.after(wrong, errors, tolerance) == pytest.approx(statistics)
    assert change.after(wrong[:0], errors[:0]) == pytest.approx(change.start())
    assert np.isfinite(change.evidence(change.after(np.ones(100_000, bool), np.full(100_000, 0.01))))


def test_errors_are_told_by_how_rare_they_are_where_confidence_is_high():
    calm = change.step(change.start(), True, 0.4)
    startling = change.step(change.start(), True, 0.001)
    assert change.evidence(startling) > 2 * change.evidence(calm)
