import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tests.pictures import BLUE, GREY, ORANGE, painted, pixels
from training import plots
from training.plots import style
from training.progress import Epoch

LEGEND = 50  # rows of pixels above the axes
SHADE = (224, 224, 224)


def epochs(count, validated=True):
    made = [Epoch(n, 1 / n, 1 - 0.5 / n, 1.1 / n, 1 - 0.6 / n, 0.001, 1.0) for n in range(1, count + 1)]
    return made if validated else [replace(one, val_loss=math.nan, val_accuracy=math.nan) for one in made]


@pytest.mark.parametrize("count", [1, 10, 200])
def test_curves_show_training_beside_validation(count):
    picture = pixels(plots.curves(epochs(count), count))[LEGEND:]
    assert painted(picture, BLUE) > 20 and painted(picture, ORANGE) > 20


@pytest.mark.parametrize("count", [1, 10])
def test_without_validation_there_is_no_curve_of_it_nor_a_gap_nor_a_word(count, texts):
    picture = pixels(plots.curves(epochs(count, validated=False), count))
    assert painted(picture[LEGEND:], BLUE) > 20 and painted(picture, ORANGE) == 0
    assert not any("validation" in text or "gap" in text for text in texts)


def test_without_accuracies_the_loss_stands_alone(texts):
    numbers = [replace(epoch, train_accuracy=math.nan, val_accuracy=math.nan) for epoch in epochs(5)]
    picture = pixels(plots.curves(numbers, 5))
    assert picture.shape[1] < 0.7 * pixels(plots.curves(epochs(5), 5)).shape[1]
    texts.clear()
    plots.curves(numbers, 5)
    assert "loss" in texts and "accuracy" not in texts


def test_the_epoch_that_was_kept_is_marked_where_it_lies():
    lines = []
    for best in (1, 5, 9):
        picture = pixels(plots.curves(epochs(9), best))[LEGEND:]
        lines.append(np.flatnonzero((picture == GREY).all(2).sum(0) > 50)[[0, -1]])  # left and right
    assert (lines[1] - lines[0] > 150).all()
    assert np.abs((lines[2] - lines[1]) - (lines[1] - lines[0])).max() <= 2


def test_the_gap_at_the_epoch_that_was_kept_is_told_in_loss_and_points(texts):
    plots.curves(epochs(8), 4)
    assert "gap at epoch 4: 0.025" in texts  # 1.1 / 4 - 1 / 4
    assert "gap at epoch 4: 2.5 points" in texts  # 0.6 / 4 - 0.5 / 4
    assert "overfitting gap" in texts


def test_where_validation_is_better_no_gap_is_marked(texts):
    better = [
        replace(epoch, val_loss=epoch.train_loss / 2, val_accuracy=epoch.train_accuracy + 0.05) for epoch in epochs(4)
    ]
    picture = pixels(plots.curves(better, 2))
    assert "epoch 2: validation is\nbetter than the running mean\nby 0.250" in texts
    assert "epoch 2: validation is\nbetter than the running mean\nby 5.0 points" in texts
    assert "overfitting gap" not in texts
    assert painted(picture, SHADE) < 0.1 * painted(pixels(plots.curves(epochs(4), 2)), SHADE)


def test_the_gap_is_that_of_the_weights_that_were_kept_where_it_was_measured(texts):
    better = [
        replace(epoch, val_loss=epoch.train_loss / 2, val_accuracy=epoch.train_accuracy + 0.05) for epoch in epochs(4)
    ]
    at = better[1]
    plots.curves(better, 2, {"loss": at.val_loss - 0.2, "accuracy": at.val_accuracy + 0.03})
    assert "gap at epoch 2: 0.200" in texts and "gap at epoch 2: 3.0 points" in texts
    assert "train, kept weights" in texts
    plots.curves(better, 2, {"loss": at.val_loss + 0.2, "accuracy": at.val_accuracy - 0.03})
    assert "epoch 2: validation is\nbetter by 0.200" in texts


def test_what_is_shaded_lies_between_the_curves():
    for best in (1, 3):
        picture = pixels(plots.curves(epochs(5), best))[LEGEND:]
        column = picture[:, picture.shape[1] // 6]  # in the left panel, before the second epoch
        shaded, blue, orange = (
            np.flatnonzero((np.abs(column.astype(int) - color) < 12).all(1)) for color in (SHADE, BLUE, ORANGE)
        )
        assert len(shaded) > 10 and orange.mean() < np.median(shaded) < blue.mean()


def test_epochs_that_were_not_measured_are_passed_over(texts):
    some = [
        epoch if epoch.epoch % 2 else replace(epoch, val_loss=math.nan, val_accuracy=math.nan) for epoch in epochs(7)
    ]
    assert painted(pixels(plots.curves(some, 5))[LEGEND:], ORANGE) > 200
    assert "gap at epoch 5: 0.020" in texts
    texts.clear()
    plots.curves(some, 4)
    assert not any(text.startswith("gap at") for text in texts)


# --- many runs in one picture


def series(count, factor=1.0):
    return {f"run {n}": [(epoch, (1 + n) * factor / epoch) for epoch in range(1, 6)] for n in range(count)}


def test_eighteen_runs_are_told_apart_by_colour_and_dashes(texts, monkeypatch):
    from matplotlib.axes import Axes

    looks, plot = [], Axes.plot

    def noting(self, *given, **look):
        looks.append((look["color"], look["linestyle"], look["marker"]))
        return plot(self, *given, **look)

    monkeypatch.setattr(Axes, "plot", noting)
    pixels(plots.loss_curves(series(18), "eighteen runs"))
    assert len(set(looks)) == 18
    for first in range(0, 18, 3):  # three neighbours share a colour
        assert len({color for color, *_ in looks[first : first + 3]}) == 1
    assert len({color for color, *_ in looks}) == 6
    assert {f"run {n}" for n in range(18)} <= set(texts) and "eighteen runs" in texts
    looks.clear()
    plots.loss_curves(series(84), "many")
    assert len(set(looks)) == 84


@pytest.mark.parametrize(("factor", "logarithmic"), [(1.0, True), (-1.0, False), (0.0, False)])
def test_losses_far_apart_are_drawn_on_a_logarithmic_scale_where_there_is_one(factor, logarithmic, texts):
    pixels(plots.loss_curves(series(8, factor), "title"))
    assert any("mathdefault{10^" in text for text in texts) == logarithmic


def test_a_run_without_a_finite_loss_leaves_the_others_as_they_are():
    runs = {**series(2), "lost": [(1, math.nan), (2, math.inf)], "none": []}
    assert painted(pixels(plots.loss_curves(runs, "title")), "#0072b2") > 100


def test_curves_that_coincide_are_all_seen():
    points = [(number, 1 / number) for number in range(1, 50)]
    picture = pixels(plots.loss_curves(dict.fromkeys(("one", "two", "three", "four"), points), "Loss"))
    left = picture[:, : picture.shape[1] * 3 // 4]  # without the legend
    for color in style.SEVERAL[:4]:
        assert painted(left, tuple(round(255 * part) for part in to_rgb(color))) > 200
