from dataclasses import replace

import numpy as np
import pytest

from tests.pictures import painted, pixels
from training import plots
from training.plots import style


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (16, 16, 3), (10, 20)], ids=str)
def test_a_contact_sheet_shows_each_class(blobs, shape):
    dataset = blobs(images=40, shape=shape)
    picture = pixels(plots.contact_sheet(dataset))
    others = blobs(images=40, shape=shape, seed=1)
    assert (picture != pixels(plots.contact_sheet(others))).any()


def test_a_class_of_few_images_does_not_push_those_of_the_next_into_its_row(blobs):
    dataset = blobs(images=36, classes=3)
    plain = np.array([60, 120, 240], np.uint8)[dataset.targets, None, None]
    flat = replace(dataset, inputs=np.broadcast_to(plain, (36, 8, 8)))
    kept = (flat.targets != 1) | (np.arange(36) < 10)  # 3 of the second class, 12 of the others
    few = replace(flat, inputs=flat.inputs[kept], targets=flat.targets[kept])
    whole, sheet = pixels(plots.contact_sheet(flat)), pixels(plots.contact_sheet(few))
    for grey, share in ((60, 1), (120, 0.25), (240, 1)):
        assert painted(sheet, [grey] * 3) == pytest.approx(share * painted(whole, [grey] * 3), rel=0.02)
    rows = [np.flatnonzero((sheet == grey).all(2).sum(1) > 20) for grey in (60, 120, 240)]
    assert rows[0].max() < rows[1].min() <= rows[1].max() < rows[2].min()


def test_of_very_many_classes_the_first_are_shown_and_that_is_told(blobs, texts):
    picture = pixels(plots.contact_sheet(blobs(images=200, classes=100)), most=3500)
    assert picture.shape[0] < 3400
    assert "blobs: the first 12 images of 40 of 100 classes" in texts


def test_images_of_several_labels_stand_in_the_row_of_each(blobs):
    dataset = blobs(images=4, classes=2)
    pixel = np.array([50, 100, 150, 200], np.uint8)[:, None, None]
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], np.float32)
    several = replace(dataset, inputs=np.broadcast_to(pixel, (4, 8, 8)), targets=labels, kind="multilabel")
    sheet = pixels(plots.contact_sheet(several))
    counts = [painted(sheet, [grey] * 3) for grey in (50, 100, 150, 200)]
    assert counts[1] == pytest.approx(2 * counts[0], rel=0.04) and counts[2] == pytest.approx(counts[0], rel=0.04)
    assert counts[3] < 0.02 * counts[0]


# --- what a model says


def test_each_image_has_its_true_and_its_predicted_class_and_mistakes_are_told(blobs, texts):
    images = blobs(images=50).inputs
    truths = ["cat"] * 30 + ["hippopotamus"] * 20
    answers = ["cat"] * 28 + ["dog"] * 2 + ["hippopotamus"] * 20
    picture = pixels(plots.predictions(images, truths, answers, "pets:1"))
    assert texts.count("cat:cat") == 28 and texts.count("cat:dog") == 2
    assert texts.count("hippopotamus:\nhippopotamus") == 20  # on two lines, since it is long
    assert "pets:1\ntrue:predicted, 2 of 50 wrong (framed, bold)" in texts
    assert painted(picture, style.WRONG) > 1000 and painted(picture, style.RIGHT) > 1000


def test_where_all_is_right_nothing_has_the_colour_of_mistakes(blobs):
    picture = pixels(plots.predictions(blobs(images=12).inputs, ["a"] * 12, ["a"] * 12, "title"))
    assert painted(picture, style.WRONG) == 0 and painted(picture, style.RIGHT) > 100


@pytest.mark.parametrize("count", [1, 9, 11])
def test_fewer_images_make_a_smaller_sheet(blobs, count):
    images = blobs(images=count, shape=(16, 16, 3)).inputs
    picture = pixels(plots.predictions(images, ["a"] * count, ["b"] * count, "title"))
    assert picture.shape[0] < 500


def test_images_are_drawn_as_dark_as_they_are():
    images = np.stack([np.full((8, 8), 10, np.uint8), np.full((8, 8), 90, np.uint8)])
    picture = pixels(plots.predictions(images, ["a", "a"], ["a", "a"], "title"))
    assert min(painted(picture, [10] * 3), painted(picture, [90] * 3)) > 5000
