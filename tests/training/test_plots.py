import io
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from training import plots
from training.loop import Epoch

BLUE, ORANGE, GREY = (0x4C, 0x72, 0xB0), (0xDD, 0x84, 0x52), (0x99, 0x99, 0x99)
LEGEND = 50  # rows of pixels above the axes


def pixels(png):
    """Decoded; and a picture with something on it, of a size that a page can show."""
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    assert min(image.size) > 200 and max(image.size) <= 1600
    found = np.asarray(image.convert("RGB"))
    assert len(np.unique(found @ [1 << 16, 1 << 8, 1])) > 20
    return found


def painted(picture, color):
    return int((picture == color).all(2).sum())


def epochs(count, validated=True):
    made = [Epoch(n, 1 / n, 1 - 0.5 / n, 1.1 / n, 1 - 0.6 / n, 0.001, 1.0) for n in range(1, count + 1)]
    return made if validated else [replace(one, val_loss=math.nan, val_accuracy=math.nan) for one in made]


@pytest.fixture(autouse=True)
def no_warnings():
    """Matplotlib warns where a picture has no room for what stands around it, and draws it cut off."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("count", [1, 10, 200])
def test_curves_show_training_beside_validation(count):
    picture = pixels(plots.curves(epochs(count), count))[LEGEND:]
    assert painted(picture, BLUE) > 20 and painted(picture, ORANGE) > 20


@pytest.mark.parametrize("count", [1, 10])
def test_without_validation_there_is_no_curve_of_it_nor_a_word(count):
    picture = pixels(plots.curves(epochs(count, validated=False), count))
    assert painted(picture[LEGEND:], BLUE) > 20 and painted(picture, ORANGE) == 0


def test_the_epoch_that_was_kept_is_marked_where_it_lies():
    lines = []
    for best in (1, 5, 9):
        picture = pixels(plots.curves(epochs(9), best))[LEGEND:]
        lines.append(np.flatnonzero((picture == GREY).all(2).sum(0) > 50)[[0, -1]])  # left and right
    assert (lines[1] - lines[0] > 150).all()
    assert np.abs((lines[2] - lines[1]) - (lines[1] - lines[0])).max() <= 2


@pytest.mark.parametrize("classes", [2, 20, 30])
def test_a_confusion_matrix_of_any_size_can_be_looked_at(classes):
    random = np.random.default_rng(0)
    counts = random.poisson(2, (classes, classes)) + np.diag(random.poisson(100, classes))
    pixels(plots.confusion(counts, [f"class {n}" for n in range(classes)], "held-out accuracy 90%"))


def cells(counts, names=None):
    """How bright each cell is in its upper left corner, where no number stands."""
    names = names or [str(number) for number in range(len(counts))]
    picture = pixels(plots.confusion(np.array(counts), names, "title")).sum(2)
    black = picture < 60
    rows, columns = (
        np.flatnonzero(black.mean(axis) > 0.4) for axis in (1, 0)
    )  # the frame, which is the first and last

    def corners(lines):
        return (lines[0] + (lines[-1] - lines[0]) / len(counts) * (np.arange(len(counts)) + 0.15)).astype(int)

    return picture[np.ix_(corners(rows), corners(columns))]


def test_rows_are_true_classes_and_an_error_of_one_percent_is_seen():
    brightness = cells([[98, 2, 0], [0, 50, 50], [0, 0, 0]])
    assert brightness[0, 0] < brightness[1, 1] < brightness[0, 1] < brightness[0, 2]
    assert brightness[1, 1] == brightness[1, 2] and brightness[1, 0] == brightness[2, 2] == brightness[0, 2]
    assert brightness[0, 2] - brightness[0, 1] > 10


def test_long_names_leave_room_for_the_matrix():
    plain = cells([[9, 1], [2, 8]])
    assert (cells([[9, 1], [2, 8]], ["a name that goes on and on " * 3, "b"]) == plain).all()


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (16, 16, 3)], ids=str)
def test_a_contact_sheet_shows_each_class(blobs, shape):
    dataset = blobs(images=40, shape=shape)
    picture = pixels(plots.contact_sheet(dataset))
    others = blobs(images=40, shape=shape, seed=1)
    assert (picture != pixels(plots.contact_sheet(others))).any()


def test_a_class_of_few_images_does_not_push_those_of_the_next_into_its_row(blobs):
    dataset = blobs(images=36, classes=3)
    flat = replace(
        dataset, images=np.broadcast_to(np.array([60, 120, 240], np.uint8)[dataset.labels, None, None], (36, 8, 8))
    )
    kept = (flat.labels != 1) | (np.arange(36) < 10)  # 3 of the second class, 12 of the others
    few = replace(flat, images=flat.images[kept], labels=flat.labels[kept])
    whole, sheet = pixels(plots.contact_sheet(flat)), pixels(plots.contact_sheet(few))
    for color, share in ((60, 1), (120, 0.25), (240, 1)):
        assert painted(sheet, color) == pytest.approx(share * painted(whole, color), rel=0.02)
    rows = [np.flatnonzero((sheet == color).all(2).sum(1) > 20) for color in (60, 120, 240)]
    assert rows[0].max() < rows[1].min() <= rows[1].max() < rows[2].min()
