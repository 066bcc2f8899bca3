import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tailorbird.errors import InvalidInput
from training import datasets
from training.config import DataConfig
from training.datasets import Dataset, own

ROWS = np.arange(12, dtype=np.float64).reshape(6, 2)
IMAGES = np.zeros((6, 4, 4), np.uint8)
CLASSES = np.array([0, 1, 2, 0, 1, 2])
SOUND = {
    "images": Dataset("d", ("a", "b", "c"), IMAGES, CLASSES, (IMAGES[:2], CLASSES[:2])),
    "colour": Dataset("d", ("a", "b", "c"), np.zeros((6, 4, 5, 3), np.uint8), CLASSES, None),
    "rows": Dataset("d", ("a", "b"), ROWS, CLASSES % 2, None, "binary", ("x", "y")),
    "labels": Dataset("d", ("a", "b"), ROWS, np.ones((6, 2), np.float32), None, "multilabel", ("x", "y")),
    "numbers": Dataset("d", ("n",), ROWS, ROWS[:, 0], None, "regression", ("x", "y")),
}


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_one_has_no_problems(kind):
    assert list(own.problems(SOUND[kind])) == []


@pytest.mark.parametrize(
    ("of", "changes", "problem"),
    [
        ("images", {"classes": ("a",)}, "has 1 classes; accepted of multiclass: 2 or more"),
        ("rows", {"classes": ("a", "b", "c")}, "has 3 classes; accepted of binary: 2"),
        ("numbers", {"classes": ("n", "m")}, "has 2 classes; accepted of regression: 1"),
        ("images", {"classes": ("a", "\u00c4", "A\u0308 ")}, "has duplicate classes"),
        ("images", {"classes": ("a", "b", "c\nd")}, r"has a class 'c\\nd', which is not a valid class name: it holds "
                                                     "a control char"),
        ("images", {"classes": (0, 1, 2)}, "has classes that are not names"),
        ("images", {"inputs": IMAGES.astype(np.float32)}, r"has inputs of float32 \[6, 4, 4\]; accepted: uint8"),
        ("images", {"inputs": np.zeros((6, 4, 4, 4), np.uint8)}, r"has inputs of uint8 \[6, 4, 4, 4\]"),
        ("rows", {"inputs": ROWS.astype(np.int64)}, r"has inputs of int64 \[6, 2\]"),
        ("rows", {"inputs": ROWS * np.nan}, "has inputs that are not finite numbers"),
        ("rows", {"inputs": ROWS * 1e200}, r"has inputs that are not finite numbers, or beyond 3\.4e\+38"),
        ("images", {"inputs": IMAGES[:0], "targets": CLASSES[:0]}, "has no inputs"),
        ("images", {"targets": CLASSES[:5]}, r"has targets of int64 \[5\]; accepted of multiclass: int64 \[6\]"),
        ("images", {"targets": CLASSES.astype(np.int32)}, r"has targets of int32"),
        ("images", {"targets": CLASSES + 1}, "has targets from 1 to 3; accepted: indices of its 3 classes"),
        ("images", {"targets": CLASSES - 1}, "has targets from -1 to 1"),
        ("labels", {"targets": np.full((6, 2), 0.5, np.float32)}, "has targets other than 0 and 1"),
        ("labels", {"targets": np.ones((6, 3), np.float32)}, r"accepted of multilabel: float32 \[6, 2\]"),
        ("numbers", {"targets": np.full(6, np.inf, np.float32)}, "has targets that are not finite numbers"),
        ("numbers", {"targets": np.full(6, 1e39)}, r"has targets that are not finite numbers, or beyond 3\.4e\+38"),
        ("numbers", {"targets": np.full(6, 7.0)}, "has targets that are all 7"),
        ("rows", {"columns": None}, "has names of 0 columns for rows of 2"),
        ("rows", {"columns": ("x",)}, "has names of 1 columns for rows of 2"),
        ("images", {"test": (IMAGES[:2, :3], CLASSES[:2])}, r"has test inputs of shape \(3, 4\) beside"),
        ("images", {"test": (IMAGES[:2], CLASSES[:3])}, r"has test targets of int64 \[3\]"),
        ("images", {"test": (IMAGES[:2].astype(np.int16), CLASSES[:2])}, "has test inputs of int16"),
        ("images", {"test": (IMAGES[:2], CLASSES[:2] + 7)}, "has test targets from 7 to 8"),
        ("images", {"validation": (IMAGES[:2], CLASSES[:3])}, r"has validation targets of int64 \[3\]"),
    ],
)  # fmt: skip
def test_the_first_problem_is_told(of, changes, problem):
    assert re.search(problem, next(own.problems(replace(SOUND[of], **changes)), "nothing"))


CODE = """
from dataclasses import replace
import numpy as np
from training.datasets import Dataset

def good():
    return Dataset("mine", ("a", "b"), np.zeros((4, 2, 2), np.uint8), np.array([0, 1, 0, 1]), None, "binary")

def backwards():
    made = good()
    pixels = np.tile(np.arange(2, dtype=np.uint8), (4, 2, 1))
    return replace(made, inputs=pixels[..., ::-1])

def mapped():
    pixels = np.memmap("pixels", np.uint8, "w+", shape=(4, 3, 2, 2))
    return replace(good(), inputs=pixels.transpose(0, 2, 3, 1))

def bad():
    return Dataset("mine", ("a", "b"), np.zeros((4, 2, 2)), np.array([0, 1, 0, 1]), None)

def single():
    rows = np.float32([[0.5], [1.5], [2.5]])
    return Dataset("mine", ("y",), rows, rows[:, 0], (rows, rows[:, 0]), "regression", ("x",))

def none():
    pass

def listed():
    return Dataset("mine", ("a", "b"), [[0]], [0], None)

def fails():
    return {}["key"]
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    (tmp_path / "my_sets_of_tests.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield lambda name: datasets.load(DataConfig(name=f"my_sets_of_tests:{name}"), Path("/nowhere"), Path("/nowhere"))
    sys.modules.pop("my_sets_of_tests", None)


def test_a_function_of_the_users_own_makes_one(load):
    dataset = load("good")
    assert dataset.name == "mine" and dataset.inputs.shape == (4, 2, 2)
    note = "4 of 4 examples are identical to one of another class, such as number 0 ('a') and number 1 ('b')"
    assert dataset.notes == (note,)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bad", "data.name: the data set of my_sets_of_tests:bad has inputs of float64"),
        ("none", "data.name: my_sets_of_tests:none must return a training.datasets.Dataset, not NoneType"),
        ("fails", "data.name: my_sets_of_tests:fails raised KeyError: 'key'"),
        ("listed", "data.name: my_sets_of_tests:listed raised AttributeError"),
        ("missing", "data.name: my_sets_of_tests .* has no missing"),
    ],
)
def test_what_it_gets_wrong_is_told(load, name, problem):
    with pytest.raises(InvalidInput, match=problem):
        load(name)


def test_numbers_of_single_precision_become_float64_in_every_part(load):
    dataset = load("single")
    assert {array.dtype for part in dataset.parts.values() for array in part} == {np.dtype(np.float64)}


def test_views_that_run_backwards_are_copied(load):
    dataset = load("backwards")
    assert dataset.inputs.flags.c_contiguous and dataset.inputs.strides[-1] > 0
    assert dataset.inputs[0, 0].tolist() == [1, 0]


def test_a_view_of_a_file_stays_there(load):
    assert isinstance(load("mapped").inputs, np.memmap)
