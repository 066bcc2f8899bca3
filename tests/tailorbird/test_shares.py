import pytest

from tailorbird import shares


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(12, 12, 0.7575, 1.0), (0, 12, 0.0, 0.2425), (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)],
)
def test_the_interval_is_that_of_wilson(right, of, low, high):
    """The last two are examples of Newcombe 1998, «Two-sided confidence intervals for the single proportion»."""
    assert shares.interval(right, of) == pytest.approx((low, high), abs=1e-4)


def test_all_right_of_a_few_is_not_certain():
    assert shares.text(1.0, 12) == "100.00% of 12 (95% interval 75.75% to 100.00%)"
