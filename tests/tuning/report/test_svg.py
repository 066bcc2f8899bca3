import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning.report.svg import Axis


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.booleans())
def test_every_value_lies_on_its_axis(values, log):
    axis = Axis.over(values, 10, 110, log=log)
    assert all(10 - 1e-6 <= axis.at(value) <= 110 + 1e-6 for value in values)


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1e-4, 1e-1, True, [1e-4, 1e-3, 1e-2, 1e-1]),
        (3, 3, False, [2.6, 2.8, 3.0, 3.2, 3.4]),
    ],
)
def test_ticks_are_round(low, high, log, ticks):
    assert Axis.over([low, high], 0, 1, log=log).ticks() == pytest.approx(ticks)


def test_what_is_no_number_is_left_out():
    assert Axis.over([math.nan, 1, 2, math.inf], 0, 1) == Axis(1, 2, 0, 1)
