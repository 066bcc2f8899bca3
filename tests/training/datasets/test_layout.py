from pathlib import Path

import pytest

from tailorbird.errors import InvalidInput
from training.datasets.layout import layout

ROOT = Path("set")


def of(*parts):
    """Names of images of two classes in each part."""
    return [f"{part}/{label}/{number}.png" for part in parts for label in ("cow", "cat") for number in range(2)]


def test_rows_go_by_class_and_name_in_each_part():
    result = layout(ROOT, of("train", "test"))
    assert result.classes == ("cat", "cow")
    assert result.targets == {"train": [0, 0, 1, 1], "test": [0, 0, 1, 1]}
    assert [result.places[f"test/{name}"] for name in ("cat/0.png", "cow/1.png")] == [("test", 0), ("test", 3)]


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        *((name, "train") for name in ("train", "Training", "TRAIN", "training_set")),
        *((name, "test") for name in ("test", "Testing", "Test", "test_set")),
        *((name, "validation") for name in ("validation", "val", "Valid", "dev", "val_set")),
    ],
)
def test_folders_of_parts_have_several_names(folder, part):
    others = {"train", "test"} - {part}
    result = layout(ROOT, of(folder, *others))
    assert result.targets.keys() == {part, *others}
    assert result.places[f"{folder}/cow/0.png"] == (part, 2)


@pytest.mark.parametrize("names", [of("train"), of("around/train"), [name.removeprefix("x/") for name in of("x")]])
def test_what_has_no_other_part_is_trained_on(names):
    result = layout(ROOT, names)
    assert result.classes == ("cat", "cow") and result.targets == {"train": [0, 0, 1, 1]}


def test_valid_is_a_class_where_there_is_no_train():
    assert layout(ROOT, ["valid/1.png", "worn/1.png"]).classes == ("valid", "worn")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["cat/1.png", "cat/2.png"], "has only one class, 'cat'"),
        ([*of("train"), "test/cat/1.png"], "has no images in 'test' of 'cow'; every part needs images of every class"),
        ([*of("train", "test"), "test/dog/1.png"], "has no images in 'train' of 'dog'"),
        ([*of("train"), "val/cat/1.png"], "has no images in 'validation' of 'cow'"),
        ([*of("train", "val"), "val/dog/1.png"], "has no images in 'train' of 'dog'"),
        ([*of("train"), "more/cat/1.png"], "has images in 'more' beside 'train'"),
        (of("test"), "has images only in 'test'"),
        (of("val", "test"), "has images only in 'validation' and 'test'; accepted: 'train' and 'test', or one"),
        (["cat/1.png", "dog/1.png", "cover.png"], "has 'cover.png' outside a class folder"),
        (["train/cat/1.png", "train/2.png"], "has '2.png' outside a class folder"),
        (["1.png", "2.png"], "has '1.png' outside a class folder"),
    ],
)
def test_names_that_tell_no_classes_are_refused(names, problem):
    with pytest.raises(InvalidInput, match=problem):
        layout(ROOT, names)
