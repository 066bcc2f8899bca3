from dataclasses import replace

import numpy as np
import pytest

from tests.pictures import painted, pixels
from training import plots
from training.datasets import Dataset
from training.plots import style


def table(rows=60, columns=3, kind="multiclass", classes=("a", "b", "c"), seed=0):
    random = np.random.default_rng(seed)
    targets = np.arange(rows) % len(classes)
    inputs = (random.normal(0, 0.3, (rows, columns)) + targets[:, None]).astype(np.float32)
    names = tuple(f"column {n}" for n in range(columns))
    return Dataset("made", classes, inputs, targets, None, kind, names)


def test_each_column_is_named_and_each_class_has_its_colour(texts):
    picture = pixels(plots.scatter_matrix(table()))
    for color in style.SEVERAL[:3]:
        assert painted(picture, color) > 20
    assert painted(picture, style.SEVERAL[3]) == 0
    for name in ("column 0", "column 1", "column 2"):
        assert texts.count(name) == 2
    assert {"a", "b", "c", "made"} <= set(texts)


def test_columns_lie_beneath_and_beside_their_own_names(monkeypatch):
    from matplotlib.axes import Axes

    drawn, scatter = [], Axes.scatter
    monkeypatch.setattr(Axes, "scatter", lambda self, x, y, **look: drawn.append((x, y)) or scatter(self, x, y, **look))
    data = table(rows=5, columns=2, classes=("only", "two"))
    plots.scatter_matrix(data)
    (x, y), second = drawn[0], data.inputs[data.targets == 0]
    assert np.allclose(x, second[:, 1]) and np.allclose(y, second[:, 0])  # the first row, the second column


def test_of_wide_and_long_tables_a_part_is_shown_and_that_is_told(texts):
    pixels(plots.scatter_matrix(table(rows=3000, columns=30)))
    assert "made: the first 6 of 30 columns, 1,000 of 3,000 rows" in texts
    assert "column 5" in texts and "column 6" not in texts


def test_numbers_are_told_by_a_scale(texts):
    data = table(classes=("height",), kind="regression")
    pixels(plots.scatter_matrix(replace(data, targets=np.linspace(0, 9, 60).astype(np.float32))))
    assert "height" in texts


@pytest.mark.parametrize(
    "data",
    [
        table(classes=tuple(f"class {n}" for n in range(20))),
        replace(table(kind="multilabel"), targets=np.ones((60, 3), np.float32)),
        table(columns=1),
        table(rows=1, classes=("one",)),
        replace(table(), columns=None),
        replace(table(), inputs=np.zeros((60, 3), np.float32)),
        replace(table(), inputs=np.full((60, 3), np.nan, np.float32)),
    ],
    ids=["many classes", "several labels", "one column", "one row", "no names", "constant", "no numbers"],
)
def test_any_table_can_be_drawn(data):
    pixels(plots.scatter_matrix(data))
