from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from tailorbird.errors import InvalidInput
from training import datasets
from training.config import DataConfig
from training.datasets import own

NAMES = ("breast_cancer", "diabetes", "digits", "digits_multilabel", "iris")


def load(name, **keys):
    return datasets.load(DataConfig(name=name, **keys), Path("/nowhere"), Path("/nowhere"))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_sound_data_set(name):
    dataset = load(name)
    assert dataset.name == name and list(own.problems(dataset)) == []


def test_digits_are_scaled_to_bytes_and_nothing_is_lost(digits):
    pixels, labels = load_digits(return_X_y=True)
    assert digits.inputs.dtype == np.uint8 and digits.inputs.shape == (1797, 8, 8) and digits.test is None
    assert digits.inputs.min() == 0 and digits.inputs.max() == 255
    assert (np.round(digits.inputs * (16 / 255)) == pixels.reshape(-1, 8, 8)).all()
    assert (digits.targets == labels).all() and digits.classes == tuple("0123456789")


def test_digits_are_what_registered_versions_were_trained_on(digits):
    assert digits.digest() == "d417379eb9411a07a50043d7ef28ac6434cae0c32178d3a1c98d2ac27c090a96"


def test_labels_of_digits_are_told_of_each_digit(digits):
    dataset = load("digits_multilabel")
    assert (dataset.inputs == digits.inputs).all()
    expected = {
        "even": [1, 0, 1, 0, 1, 0, 1, 0, 1, 0],
        "over four": [0, 0, 0, 0, 0, 1, 1, 1, 1, 1],
        "prime": [0, 0, 1, 1, 0, 1, 0, 1, 0, 0],
        "has a hole": [1, 0, 0, 0, 0, 0, 1, 0, 1, 1],
    }
    assert dataset.classes == tuple(expected)
    assert (dataset.targets == np.array([*expected.values()]).T[digits.targets]).all()


def test_tables_say_what_is_predicted():
    assert load("iris").classes == ("setosa", "versicolor", "virginica") and load("iris").inputs.shape == (150, 4)
    cancer = load("breast_cancer")
    assert (cancer.kind, cancer.classes, cancer.inputs.shape) == ("binary", ("malignant", "benign"), (569, 30))
    assert (cancer.targets == load_breast_cancer().target).all()
    diabetes = load("diabetes")
    assert (diabetes.kind, diabetes.inputs.shape, diabetes.targets.dtype) == ("regression", (442, 10), np.float64)
    assert diabetes.targets.min() >= 25 and diabetes.inputs[:, 0].max() == 79  # years of age, not scaled


def test_columns_may_be_chosen():
    whole, part = load("iris"), load("iris", columns=["petal width (cm)", "sepal length (cm)"])
    assert part.columns == ("petal width (cm)", "sepal length (cm)")
    assert (part.inputs == whole.inputs[:, [3, 0]]).all() and part.inputs.flags["C_CONTIGUOUS"]
    with pytest.raises(InvalidInput, match="no column 'petals'; the columns are sepal length"):
        load("iris", columns=["petals"])
