import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import pixels
from training import plots


@pytest.mark.parametrize("classes", [2, 20, 100])
def test_a_confusion_matrix_of_any_size_can_be_looked_at(classes):
    random = np.random.default_rng(0)
    counts = random.poisson(2, (classes, classes)) + np.diag(random.poisson(100, classes))
    pixels(plots.confusion(counts, [f"class {n}" for n in range(classes)], "held-out accuracy 90%"))


def run(line):
    """Where the longest piece without a gap lies."""
    places = np.flatnonzero(line)
    return max(np.split(places, np.flatnonzero(np.diff(places) > 1) + 1), key=len)


def cells(counts, names=None):
    """How bright each cell is in its upper left corner, where no number stands."""
    names = names or [str(number) for number in range(len(counts))]
    picture = pixels(plots.confusion(np.array(counts), names, "title"))
    black = (picture < 100).all(2)
    columns = run(black[black.sum(1).argmax()])  # of the frame
    rows = run(black[:, columns[0]])

    def corners(lines, count):
        return (lines[0] + (lines[-1] - lines[0]) / count * (np.arange(count) + 0.15)).astype(int)

    return picture.sum(2)[np.ix_(corners(rows, len(counts)), corners(columns, len(counts[0])))]


def test_rows_are_true_classes_and_an_error_of_one_percent_is_seen():
    brightness = cells([[98, 2, 0], [0, 50, 50], [0, 0, 0]])
    assert brightness[0, 0] < brightness[1, 1] < brightness[0, 1] < brightness[0, 2]
    assert brightness[1, 1] == brightness[1, 2] and brightness[1, 0] == brightness[2, 2] == brightness[0, 2]
    assert brightness[0, 2] - brightness[0, 1] > 10


def test_what_got_no_answer_is_a_column_of_its_own(texts):
    brightness = cells([[50, 0, 50], [0, 100, 0]], ["a", "b"])
    assert brightness[0, 0] == brightness[0, 2] != brightness[1, 2]
    assert "no answer" in texts


def test_long_names_leave_room_for_the_matrix():
    plain = cells([[9, 1], [2, 8]])
    assert (cells([[9, 1], [2, 8]], ["a name that goes on and on " * 3, "b"]) == plain).all()


def test_recall_stands_beside_rows_and_precision_under_columns(texts):
    plots.confusion(np.array([[90, 10, 0], [30, 60, 10], [0, 0, 0]]), ["a", "b", "never"], "title")
    numbers = [text for text in texts if text.replace(".", "").isdigit() or text == "-"]
    assert numbers[-6:] == ["90.0", "60.0", "-", "75.0", "85.7", "0.0"]  # recall, then precision
    assert "recall, %" in texts and "precision, %" in texts


def test_of_many_classes_whole_percents_are_told_and_no_counts(texts):
    plots.confusion(np.diag(np.full(30, 7)) + 1, [f"class {n}" for n in range(30)], "title")
    assert texts.count("22") == 60 and "8" not in texts  # 8 of 37


def test_of_two_classes_the_second_is_named_from_the_threshold_on():
    probabilities = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    targets = np.array([0, 1, 1])
    assert plots.decided(probabilities, targets, 0.5).tolist() == [[1, 0], [1, 1]]
    assert plots.decided(probabilities, targets, 0.4).tolist() == [[1, 0], [0, 2]]
    assert plots.decided(probabilities, targets, 0.3).tolist() == [[0, 1], [0, 2]]


def test_of_several_classes_the_likeliest_is_named_from_the_threshold_on():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.1, 0.8, 0.1]])
    targets = np.array([0, 1, 1])
    assert plots.decided(probabilities, targets, 0.0).tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert plots.decided(probabilities, targets, 0.6).tolist() == [[0, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert plots.decided(probabilities, targets, 0.9).tolist() == [[0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 0, 0]]


@given(st.integers(2, 5), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
def test_every_example_is_counted_once_in_the_row_of_its_class(classes, count, threshold, seed):
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, count)
    counts = plots.decided(random.dirichlet(np.ones(classes), count), targets, threshold)
    assert counts.shape == (classes, classes + (classes > 2))
    assert counts.sum(1).tolist() == np.bincount(targets, minlength=classes).tolist()
