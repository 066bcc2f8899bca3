import numpy as np

from serving.labelling import label


def test_the_likeliest_class_and_its_bin():
    rows = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]], np.float32)
    assert label(rows) == ([2, 0], [3, 2])
