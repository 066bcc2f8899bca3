import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from scipy.special import softmax

from tailorbird import bins

CONFIDENCES = st.floats(0, 1) | st.sampled_from(bins.EDGES)


def test_the_edges_and_labels_are_those_that_metrics_and_packages_hold():
    assert bins.LABELS == ("0", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "0.95", "0.98", "0.99", "0.995", "0.999")


@profile(deadline=None)
@given(CONFIDENCES)
def test_a_label_is_the_lower_edge_of_a_bin_that_holds_the_confidence(confidence):
    index = bins.index(confidence)
    assert float(bins.LABELS[index]) <= confidence
    assert confidence < float((*bins.LABELS, "inf")[index + 1])


def test_an_edge_belongs_to_the_bin_above_it():
    assert [bins.index(edge) for edge in bins.EDGES] == [*range(1, 12)]
    assert [bins.index(np.nextafter(edge, 0)) for edge in bins.EDGES] == [*range(11)]
    assert (bins.index(0.0), bins.index(1.0)) == (0, 11)


@profile(deadline=None)
@given(st.lists(CONFIDENCES), st.sampled_from([np.float32, np.float64]))
def test_many_at_once_fall_where_each_would_alone(confidences, kind):
    values = np.array(confidences, dtype=kind)
    result = bins.indices(values)
    assert result.shape == values.shape
    assert result.tolist() == [bins.index(float(value)) for value in values]


def test_the_calibration_error_by_hand():
    confidences = np.array(
        [0.55, 0.57, 0.91, 0.95, 0.98, 1.0]
    )  # of 15 bins two in the 9th, one in the 14th, three in the 15th
    ninth = abs((0.55 + 0.57) / 2 - 1 / 2) * 2 / 6
    fourteenth = abs(0.91 - 1) / 6
    last = abs((0.95 + 0.98 + 1.0) / 3 - 2 / 3) * 3 / 6
    correct = np.array([True, False, True, True, True, False])
    assert bins.calibration_error(confidences, correct) == pytest.approx(ninth + fourteenth + last, abs=1e-12)


def test_what_is_as_right_as_it_is_sure_is_calibrated():
    random = np.random.default_rng(0)
    chances = softmax(random.normal(0, 2, (50_000, 5)), 1)
    labels = (chances.cumsum(1) > random.random((50_000, 1))).argmax(1)
    sharper = softmax(3 * np.log(chances), 1)
    assert bins.calibration_error(chances.max(1), chances.argmax(1) == labels) < 0.01
    assert bins.calibration_error(sharper.max(1), sharper.argmax(1) == labels) > 0.1


def test_an_answer_that_is_no_number_has_no_calibration():
    assert np.isnan(bins.calibration_error(np.array([0.5, np.nan]), np.array([True, False])))
