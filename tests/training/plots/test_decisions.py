import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from tests.pictures import BLUE, ORANGE, painted, pixels
from training import plots
from training.plots import decisions


@pytest.fixture(scope="module")
def answers():
    random = np.random.default_rng(0)
    truths = random.random((200, 10)) < 0.3
    return 1 / (1 + np.exp(-(random.normal(0, 1, (200, 10)) + 3 * truths - 1.5))), truths


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9])
def test_precision_and_recall_are_those_of_scikit_learn(answers, threshold):
    probabilities, truths = answers[0][:, 0], answers[1][:, 0]
    precision, recall = decisions.rates(probabilities, truths, np.array([threshold]))
    text = probabilities >= threshold
    assert precision[0] == pytest.approx(precision_score(truths, text))
    assert recall[0] == pytest.approx(recall_score(truths, text))


def test_where_nothing_is_said_to_hold_there_is_no_precision():
    precision, recall = decisions.rates(np.array([0.1, 0.2]), np.array([True, False]), np.array([0.2, 0.3]))
    assert np.isnan(precision).tolist() == [False, True] and recall.tolist() == [0, 0]
    assert np.isnan(decisions.rates(np.array([0.5]), np.array([False]), np.array([0.1]))[1]).all()


@pytest.mark.parametrize("labels", [1, 3, 10])
def test_each_label_has_a_panel_with_its_figures(answers, labels, texts):
    probabilities, truths = (part[:, :labels] for part in answers)
    names = [f"label {n}" for n in range(labels)]
    picture = pixels(plots.precision_recall(probabilities, truths, names, 0.5, "the title"))
    assert painted(picture, BLUE) > 100 * labels and painted(picture, ORANGE) > 60 * labels
    assert "the title" in texts and "threshold 0.5" in texts
    for index, name in enumerate(names):
        text = probabilities[:, index] >= 0.5
        precision, recall = (score(truths[:, index], text) for score in (precision_score, recall_score))
        assert f"{name}\nprecision {precision:.1%}, recall {recall:.1%}" in texts


def test_a_label_that_never_holds_has_no_recall(texts):
    plots.precision_recall(np.array([[0.2], [0.9]]), np.zeros((2, 1)), ["never"], 0.95, "title")
    assert "never\nprecision -, recall -" in texts
