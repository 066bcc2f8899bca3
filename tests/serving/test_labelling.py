import numpy as np
import pytest

from serving.examples import FEW
from serving.labelling import label
from serving.problems import Problem
from tailorbird import bins


def test_the_likeliest_class_and_its_bin():
    rows = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0], [0.4, 0.5, 0.1]], np.float32)
    assert label(rows) == ([2, 0, 1], [3, 2, 2], {(2, 3): 1, (0, 2): 1, (1, 2): 1})


def test_many_are_labelled_as_each_alone():
    """At the edges of bins too, which float32 rounds, and where two classes are as likely."""
    edges = np.float32(bins.EDGES)
    confidences = np.concatenate([np.nextafter(edges, np.float32(0)), edges, [0.5, 1.0]]).astype(np.float32)
    rows = np.stack([1 - confidences, confidences], axis=1).repeat(FEW, axis=0)
    alone = [label(row[None]) for row in rows]
    classes, confidence_bins, cells = label(rows)
    assert classes == [labels.classes[0] for labels in alone]
    assert confidence_bins == [labels.bins[0] for labels in alone]
    assert {cell: sum(cell in labels.cells for labels in alone) for cell in cells} == cells
    assert sum(cells.values()) == len(rows)


@pytest.mark.parametrize("count", [1, FEW + 1])
def test_what_is_not_a_number_has_no_label(count):
    rows = np.full((count, 2), 0.5, np.float32)
    rows[count - 1] = np.nan
    with pytest.raises(Problem, match=rf"inputs\[{count - 1}\]"):
        label(rows)
