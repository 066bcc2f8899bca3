import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tailorbird import bins
from tailorbird.drift import cells
from tailorbird.package.baseline import Bin

TABLES = arrays.arrays(np.float64, (3, cells.BINS), elements=st.integers(0, 500).map(float))


def test_a_table_holds_what_a_baseline_names_and_nothing_else():
    counts = {"cat": {"0.9": Bin(count=8, correct=6)}, "owl": {"0": Bin(count=1, correct=0)}}
    table = cells.table(counts, ("cat", "dog", "owl"), "count")
    assert table.sum() == 9
    assert table[0, bins.LABELS.index("0.9")] == 8
    assert table[2, 0] == 1


def test_predictions_are_counted_by_class_and_bin():
    counts = cells.tally(np.array([0, 1, 1]), np.array([0.35, 0.9999, 0.4]), 2)
    assert counts[0].tolist() == [1, *[0] * 11]
    assert counts[1].tolist() == [0, 1, *[0] * 9, 1]


@given(TABLES, arrays.arrays(np.float64, (3, cells.BINS), elements=st.floats(0, 1)))
def test_every_cell_has_an_accuracy_between_its_own_and_its_bins(count, share):
    correct = np.floor(count * share)
    result = cells.accuracies(count, correct)
    assert ((result > 0) & (result < 1)).all()
    of_bin = (correct.sum(0) + cells.SHRINKAGE * np.array(cells.MIDDLES)) / (count.sum(0) + cells.SHRINKAGE)
    own = np.divide(correct, count, out=np.broadcast_to(of_bin, count.shape).copy(), where=count > 0)
    assert (result >= np.minimum(own, of_bin) - 1e-12).all()
    assert (result <= np.maximum(own, of_bin) + 1e-12).all()


def test_an_empty_table_expects_what_confidence_says():
    empty = np.zeros((2, cells.BINS))
    assert cells.accuracies(empty, empty)[1] == pytest.approx(cells.MIDDLES)
