import numpy as np
import pytest

from training import distinct, splits
from training.config import DataConfig
from training.datasets import Dataset

SECONDS = 1_750_000_000 + np.arange(400.0)


def table(values, kind="binary", targets=None):
    inputs = np.column_stack([values, np.random.default_rng(0).normal(size=len(values))])
    targets = np.arange(len(values)) % 2 if targets is None else targets
    classes = ("no", "yes") if kind == "binary" else ("price",)
    return Dataset("table", classes, inputs, targets, None, kind, ("when", "size"))


def far(values):
    return np.append(values[:-1], 1e18)


@pytest.mark.parametrize(
    "values",
    [SECONDS, np.full(400, 7.0), np.arange(400.0), np.append(SECONDS[:-1], 0.0), 1e-310 * np.arange(1, 401)],
)
def test_what_stays_different_is_not_noted(values):
    assert list(distinct.notes(table(values))) == []


def test_a_column_whose_values_become_one_is_named():
    [note] = distinct.notes(table(far(SECONDS)))
    assert note.startswith("when: of 400 different values only 2 are left in float32, in which networks compute; ")
    dealt = splits.split(table(far(SECONDS)), DataConfig(name="digits", validation=0, holdout=20, test=20))
    assert note in dealt.notes


def test_so_are_the_numbers_to_predict():
    [note] = distinct.notes(table(SECONDS, "regression", far(SECONDS)))
    assert note.startswith("the numbers to predict: of 400 different values only")


def test_columns_without_names_are_numbered():
    nameless = Dataset("table", ("no", "yes"), far(SECONDS)[:, None], np.arange(400) % 2, None, "binary", None)
    assert next(distinct.notes(nameless)).startswith("column 1: ")


def test_images_and_many_close_numbers_have_no_note():
    assert list(distinct.notes(table(np.random.default_rng(1).normal(size=100_000)))) == []
    images = Dataset("pictures", ("no", "yes"), np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2, None)
    assert list(distinct.notes(images)) == []
