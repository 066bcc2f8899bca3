import numpy as np
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

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
    found = bins.indices(values)
    assert found.shape == values.shape
    assert found.tolist() == [bins.index(float(value)) for value in values]
