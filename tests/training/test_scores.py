import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn import metrics

from tailorbird import bins
from training.scores import Binary, Classification, Multilabel, Regression

EXACT = {"abs": 1e-9, "rel": 1e-9}


@st.composite
def classifications(draw):
    """Of 2 to 12 classes, as sure of themselves as can be drawn."""
    classes, count = draw(st.integers(2, 12)), draw(st.integers(1, 80))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = random.normal(0, draw(st.floats(0.1, 9)), (count, classes))
    labels = np.where(
        random.random(count) < draw(st.floats(0, 1)), logits.argmax(1), random.integers(0, classes, count)
    )
    return Classification(labels, softmax(logits / 2, 1), softmax(logits, 1))


@st.composite
def sigmoids(draw, labels=None):
    """Probabilities of labels, some of them equal, and whether each is there."""
    count, labels = draw(st.integers(1, 60)), labels or draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = np.round(random.normal(0, draw(st.floats(0.1, 6)), (count, labels)), draw(st.integers(0, 3)))
    present = random.random((count, labels)) < expit(draw(st.floats(-1, 2)) * logits)
    return logits, present


def binary(logits, present):
    def columns(temperature):
        positive = expit(logits / temperature)
        return np.hstack([1 - positive, positive])

    return Binary(present[:, 0].astype(np.int64), columns(2), columns(1))


def multilabel(logits, present):
    return Multilabel(present.astype(np.float32), expit(logits / 2), expit(logits))


def quietly(metric, *arguments, **options):
    """Of scikit-learn, which warns where nothing can be divided."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric(*arguments, **options)


def names(one):
    return [f"class {index}" for index in range(one.probabilities.shape[1])]


@given(classifications())
def test_accuracy_confusion_and_losses_are_those_of_scikit_learn(one):
    classes, places = range(len(names(one))), np.arange(len(one.targets))
    assume(one.uncalibrated[places, one.targets].min() > 1e-6)  # below its precision scikit-learn takes that
    assert one.accuracy == pytest.approx(metrics.accuracy_score(one.targets, one.predicted), **EXACT)
    assert (one.confusion() == metrics.confusion_matrix(one.targets, one.predicted, labels=classes)).all()
    assert one.nll == pytest.approx(metrics.log_loss(one.targets, one.probabilities, labels=classes), **EXACT)
    uncalibrated = metrics.log_loss(one.targets, one.uncalibrated, labels=classes)
    assert one.nll_uncalibrated == pytest.approx(uncalibrated, **EXACT)
    assert one.calibration_error == bins.calibration_error(one.probabilities.max(1), one.targets == one.predicted)
    assert one.figures() == {
        "accuracy": one.accuracy,
        "standard_error": one.standard_error,
        "nll": one.nll,
        "nll_uncalibrated": one.nll_uncalibrated,
        "calibration_error": one.calibration_error,
    }


@given(classifications(), st.floats(0, 1))
def test_precision_and_recall_of_each_class_are_those_of_scikit_learn(one, threshold):
    result = one.at(threshold)
    for index in range(len(names(one))):
        expected = quietly(
            metrics.precision_recall_fscore_support,
            one.targets == index,
            one.probabilities[:, index] >= threshold,
            average="binary",
            zero_division=0,
        )
        assert (result.precision[index], result.recall[index], result.f1[index]) == pytest.approx(expected[:3], **EXACT)


def test_rows_of_the_confusion_are_true_classes():
    answers = np.array([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.1, 0.9, 0]], np.float32)
    one = Classification(np.array([0, 0, 2]), answers, answers)
    assert one.confusion().tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(("right", "images", "error"), [(90, 100, 0.030393), (5, 5, 0.110839), (4500, 5000, 0.0042439)])
def test_the_standard_error_is_that_of_wilson(right, images, error):
    answers = np.tile(np.float32([0.8, 0.2]), (images, 1))
    one = Classification(np.array([0] * right + [1] * (images - right)), answers, answers)
    assert one.accuracy == right / images
    assert one.standard_error == pytest.approx(error, rel=1e-4)


@given(classifications())
def test_bins_count_every_example_once_where_its_class_and_confidence_say(one):
    counted = one.bins(names(one))
    expected = {}
    for row, label in zip(one.probabilities, one.targets, strict=True):
        where = expected.setdefault(f"class {row.argmax()}", {}).setdefault(
            bins.LABELS[bins.index(float(row.max()))], [0, 0]
        )
        where[0] += 1
        where[1] += int(row.argmax() == label)
    assert {
        (name, label): (counts.count, counts.correct)
        for name, inner in counted.items()
        for label, counts in inner.items()
    } == {(name, label): tuple(pair) for name, inner in expected.items() for label, pair in inner.items()}
    assert sum(counts.count for inner in counted.values() for counts in inner.values()) == len(one)


def test_what_was_held_to_be_impossible_costs_much_and_not_everything():
    certain = np.float32([[1.0, 0.0], [0.0, 1.0]])
    one = Classification(np.array([1, 1]), certain, certain)
    assert one.nll == pytest.approx(-math.log(np.finfo(np.float32).tiny) / 2)
    assert Binary(np.array([1, 1]), certain, certain).nll == pytest.approx(-math.log(np.finfo(np.float32).eps) / 2)
    result = Multilabel(np.float32([[0], [1]]), np.ones((2, 1)), np.ones((2, 1)))
    assert result.nll == pytest.approx(-math.log(np.finfo(np.float64).eps) / 2)


@given(sigmoids(labels=1))
def test_figures_of_two_classes_are_those_of_scikit_learn(drawn):
    one = binary(*drawn)
    named = one.probabilities[:, 1] >= 0.5
    figures = one.figures()
    for name, metric in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        assert figures[name] == pytest.approx(quietly(metric, one.targets, named, zero_division=0), **EXACT)
    assert figures["nll"] == pytest.approx(metrics.log_loss(one.targets, one.probabilities, labels=[0, 1]), **EXACT)
    assert figures["accuracy"] == pytest.approx(
        metrics.accuracy_score(one.targets, one.probabilities.argmax(1)), **EXACT
    )
    assert set(figures) == {*Classification.figures(one), "precision", "recall", "f1"}


@given(
    st.one_of(
        sigmoids(labels=1).map(lambda drawn: binary(*drawn)),
        classifications(),
        sigmoids().map(lambda drawn: multilabel(*drawn)),
    )
)
def test_the_curve_of_thresholds_is_that_of_scikit_learn_and_of_single_ones(one):
    for index in range(one.probabilities.shape[1]):
        result = one.curve(index)
        scores, truth = one.probabilities[:, index], one.truth[:, index]
        precision, recall, thresholds = quietly(metrics.precision_recall_curve, truth, scores)
        np.testing.assert_allclose(result.thresholds, thresholds, rtol=0, atol=0)
        np.testing.assert_allclose(result.precision, precision[:-1], atol=1e-9)
        if truth.any():  # else scikit-learn says 1
            np.testing.assert_allclose(result.recall, recall[:-1], atol=1e-9)
        for place, threshold in enumerate(result.thresholds):
            present = one.at(threshold)
            assert present.precision[index] == pytest.approx(result.precision[place], **EXACT)
            assert present.recall[index] == pytest.approx(result.recall[place], **EXACT)


@given(sigmoids())
def test_figures_of_labels_are_those_of_scikit_learn(drawn):
    one = multilabel(*drawn)
    truth, named = one.targets.astype(int), (one.probabilities >= 0.5).astype(int)
    figures = one.figures()
    labels = range(truth.shape[1])
    assert figures["accuracy"] == pytest.approx(1 - metrics.hamming_loss(truth, named), **EXACT)
    assert figures["exact_match"] == pytest.approx((truth == named).all(1).mean(), **EXACT)
    losses = [metrics.log_loss(truth[:, n], one.probabilities[:, n], labels=[0, 1]) for n in labels]
    assert figures["nll"] == pytest.approx(np.mean(losses), **EXACT)
    uncalibrated = [metrics.log_loss(truth[:, n], one.uncalibrated[:, n], labels=[0, 1]) for n in labels]
    assert figures["nll_uncalibrated"] == pytest.approx(np.mean(uncalibrated), **EXACT)
    expected = [
        quietly(metrics.precision_recall_fscore_support, truth[:, n], named[:, n], average="binary", zero_division=0)[
            :3
        ]
        for n in labels
    ]
    means = np.mean(expected, axis=0)
    assert (figures["precision"], figures["recall"], figures["f1"]) == pytest.approx(tuple(means), **EXACT)
    np.testing.assert_allclose(
        one.label_accuracies, [metrics.accuracy_score(truth[:, n], named[:, n]) for n in labels], atol=1e-9
    )


def test_labels_of_one_example_are_no_examples_of_their_own():
    """Two examples with one answer for each of 50 labels tell as much as two answers."""
    one = Multilabel(np.ones((2, 50), np.float32), *[np.float64([[0.9] * 50, [0.1] * 50])] * 2)
    assert (one.accuracy, one.exact_match) == (0.5, 0.5)
    assert one.standard_error == pytest.approx(math.sqrt(0.25 / 2))


def test_calibration_of_labels_is_that_of_each_answer():
    one = Multilabel(np.float32([[1, 0], [0, 0]]), *[np.float64([[0.9, 0.1], [0.7, 0.4]])] * 2)
    assert one.calibration_error == pytest.approx((0.1 + 0.1 + 0.7 + 0.4) / 4)  # 0.6 and 0.7 lie in two bins


def test_an_answer_on_the_threshold_is_a_yes():
    one = Multilabel(np.float32([[1], [1]]), *[np.float64([[0.5], [np.nextafter(0.5, 0)]])] * 2)
    assert one.correct.tolist() == [[True], [False]]
    assert one.at(0.5).recall == [0.5]


@given(st.integers(2, 60), st.integers(0, 2**32), st.floats(0.01, 100))
def test_figures_of_numbers_are_those_of_scikit_learn(count, seed, spread):
    random = np.random.default_rng(seed)
    targets = random.normal(100, spread, count).astype(np.float32)
    one = Regression(targets, (targets + random.normal(0, 1, count))[:, None].astype(np.float32))
    answers = one.predictions[:, 0].astype(np.float64)
    assert one.figures() == {"rmse": one.rmse, "mae": one.mae, "r2": one.r2}
    assert one.rmse == pytest.approx(metrics.root_mean_squared_error(targets.astype(np.float64), answers), **EXACT)
    assert one.mae == pytest.approx(metrics.mean_absolute_error(targets.astype(np.float64), answers), **EXACT)
    assert one.r2 == pytest.approx(metrics.r2_score(targets.astype(np.float64), answers), rel=1e-9, abs=1e-7)


@pytest.mark.parametrize(("answer", "r2"), [(3.0, 1.0), (4.0, 0.0)])
def test_numbers_that_are_all_one_have_no_variance_to_explain(answer, r2):
    one = Regression(np.full(4, 3.0, np.float32), np.full((4, 1), answer, np.float32))
    assert one.r2 == r2 == metrics.r2_score(one.targets, one.predictions)
