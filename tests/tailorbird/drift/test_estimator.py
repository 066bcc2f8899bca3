import math

import numpy as np
import pytest

from tailorbird.drift import cells, estimator
from tailorbird.drift.estimator import Estimator
from tailorbird.errors import Corrupt
from tailorbird.package.estimator import Error

CLASSES = ("cat", "dog")


@pytest.fixture
def pets() -> Estimator:
    answers = np.zeros((2, 2, cells.BINS), np.int64)
    answers[0, 0, 11], answers[0, 1, 3] = 90, 10
    answers[1, 1, 11], answers[1, 0, 3] = 70, 30
    weights = np.full((2, cells.BINS), 0.5)
    weights[:, 11] = 1.0
    return Estimator(CLASSES, answers, weights, Error(small=0.015, p90=0.03, all=0.06, window=1000))


def counts(sure, unsure):
    table = np.zeros((2, cells.BINS))
    table[:, 11], table[:, 3] = sure, unsure
    return table


def test_the_estimate_is_the_mean_weight_of_the_predictions(pets):
    assert pets.fitted(counts((30, 30), (20, 20))) == pytest.approx(0.8)
    assert pets.fitted(counts((0, 0), (0, 0))) is None


def test_an_estimate_is_a_share(pets):
    low = Estimator(CLASSES, pets.answers, pets.weights - 3, pets.error)
    assert low.fitted(counts((1, 1), (1, 1))) == 0


def test_what_was_held_out_is_known_by_cell(pets):
    assert pets.accuracy == pytest.approx(0.8)
    assert pets.correct.sum() == 160
    assert pets.mix == pytest.approx([0.5, 0.5])


def test_the_mix_of_classes_moves_the_other_estimate(pets):
    cats = 1000 * pets.answers[0] / 100
    assert pets.mix_moves(cats) == pytest.approx(0.9, abs=0.01)
    assert pets.mix_moves(np.zeros((2, cells.BINS))) is None


def test_what_falls_into_an_empty_cell_is_right_as_often_as_its_whole_bin():
    answers = np.zeros((3, 3, cells.BINS), np.int64)
    every = np.arange(3)
    answers[every, every, 11] = 400
    answers[0, 0, 7], answers[1, 0, 7] = 80, 20
    counts = answers.sum(0).astype(float)
    counts[2, 7] = 50
    estimate = Estimator((*CLASSES, "owl"), answers, None, None).mix_moves(counts)
    assert estimate == pytest.approx((1280 + 0.8 * 50) / 1350, abs=0.002)


def test_the_noise_is_less_of_more_predictions_and_more_where_few_of_a_frequent_class_were_held_out(pets):
    sure = counts((70, 70), (30, 10))
    assert pets.fitted_noise(sure) > pets.fitted_noise(10 * sure) > 0.01
    answers = pets.answers.copy()
    answers[0] //= 10
    dogs = 10.0 * pets.answers[1]
    few = Estimator(CLASSES, answers, pets.weights, None)
    assert few.fitted_noise(10.0 * pets.answers[0]) > 2 * few.fitted_noise(dogs)


def test_a_file_gives_back_what_was_written(pets):
    again = estimator.parse(pets.encode(), CLASSES)
    assert (again.answers == pets.answers).all()
    assert again.weights == pytest.approx(pets.weights)
    assert again.error == pets.error


def test_of_tables_there_is_the_mix_alone(pets):
    table = estimator.parse(Estimator(CLASSES, pets.answers, None, None).encode(), CLASSES)
    assert table.fitted(counts((1, 1), (1, 1))) is None
    assert table.mix_moves(counts((1, 1), (1, 1))) is not None
    assert table.fitted_noise(counts((1, 1), (1, 1))) == math.inf


def test_a_file_of_other_classes_is_corrupt(pets):
    with pytest.raises(Corrupt, match=r"estimator\.json: its answers do not name 'owl', which is a class"):
        estimator.parse(pets.encode(), (*CLASSES, "owl"))
