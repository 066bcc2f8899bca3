import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn import metrics

from tailorbird import bins
from training import evaluation, loop
from training.evaluation import Evaluation
from training.splits import Split


@st.composite
def evaluations(draw):
    """Of 2 to 12 classes, as sure of themselves as can be drawn."""
    classes, count = draw(st.integers(2, 12)), draw(st.integers(1, 80))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = random.normal(0, draw(st.floats(0.1, 20)), (count, classes))
    labels = np.where(
        random.random(count) < draw(st.floats(0, 1)), logits.argmax(1), random.integers(0, classes, count)
    )
    return Evaluation(softmax(logits, 1).astype(np.float32), labels)


def names(one):
    return [f"class {index}" for index in range(one.probabilities.shape[1])]


@given(evaluations())
def test_accuracy_and_confusion_are_those_of_scikit_learn(one):
    assert one.accuracy == pytest.approx(metrics.accuracy_score(one.labels, one.predicted))
    expected = metrics.confusion_matrix(one.labels, one.predicted, labels=range(len(names(one))))
    assert (one.confusion() == expected).all()
    assert one.confusion().trace() / one.confusion().sum() == pytest.approx(one.accuracy)


def test_rows_of_the_confusion_are_true_classes():
    one = Evaluation(np.array([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.1, 0.9, 0]], np.float32), np.array([0, 0, 2]))
    assert one.confusion().tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("right", "images", "error"), [(90, 100, 0.03), (1, 2, 0.353553), (5, 5, 0.0), (4500, 5000, 0.00424264)]
)
def test_the_standard_error_is_binomial(right, images, error):
    probabilities = np.tile(np.float32([0.8, 0.2]), (images, 1))
    one = Evaluation(probabilities, np.array([0] * right + [1] * (images - right)))
    assert one.accuracy == right / images
    assert one.standard_error == pytest.approx(error, rel=1e-5)


@given(evaluations())
def test_bins_count_every_image_once_where_its_class_and_confidence_say(one):
    counted = one.bins(names(one))
    expected = {}
    for row, label in zip(one.probabilities, one.labels, strict=True):
        where = expected.setdefault(f"class {row.argmax()}", {}).setdefault(
            bins.LABELS[bins.index(float(row.max()))], [0, 0]
        )
        where[0] += 1
        where[1] += int(row.argmax() == label)
    assert {
        (name, label): (counts["count"], counts["correct"])
        for name, inner in counted.items()
        for label, counts in inner.items()
    } == {(name, label): tuple(pair) for name, inner in expected.items() for label, pair in inner.items()}
    assert sum(counts["count"] for inner in counted.values() for counts in inner.values()) == len(one.labels)


def test_calibration_error_by_hand():
    confidences = [0.55, 0.57, 0.91, 0.95, 0.98, 1.0]  # of 15 bins two in the 9th, one in the 14th, three in the 15th
    probabilities = np.array([[c, 1 - c] for c in confidences], np.float32)
    one = Evaluation(probabilities, np.array([0, 1, 0, 0, 0, 1]))
    ninth = abs((0.55 + 0.57) / 2 - 1 / 2) * 2 / 6
    fourteenth = abs(0.91 - 1) / 6
    last = abs((0.95 + 0.98 + 1.0) / 3 - 2 / 3) * 3 / 6
    assert one.calibration_error() == pytest.approx(ninth + fourteenth + last, abs=1e-6)


def test_what_is_as_right_as_it_is_sure_is_calibrated():
    random = np.random.default_rng(0)
    probabilities = softmax(random.normal(0, 2, (50_000, 5)), 1)
    labels = (probabilities.cumsum(1) > random.random((50_000, 1))).argmax(1)
    calibrated = Evaluation(probabilities.astype(np.float32), labels)
    assert calibrated.calibration_error() < 0.01
    overconfident = Evaluation(softmax(3 * np.log(probabilities), 1).astype(np.float32), labels)
    assert overconfident.calibration_error() > 0.1


@pytest.mark.parametrize("known", [0.25, 0.7, 1.0, 1.8, 6.0])
def test_a_known_temperature_is_found_again(known):
    random = np.random.default_rng(1)
    logits = random.normal(0, 2.5, (20_000, 10))
    chances = softmax(logits, 1)
    labels = (chances.cumsum(1) > random.random((20_000, 1))).argmax(1)
    assert evaluation.temperature((known * logits).astype(np.float32), labels) == pytest.approx(known, rel=0.03)


def test_a_temperature_changes_no_label_and_lowers_the_loss():
    random = np.random.default_rng(2)
    logits = random.normal(0, 8, (500, 4)).astype(np.float32)
    labels = np.where(random.random(500) < 0.7, logits.argmax(1), random.integers(0, 4, 500))
    found = evaluation.temperature(logits, labels)
    losses = [
        metrics.log_loss(labels, softmax(logits / t, 1), labels=range(4))
        for t in (found, 1.0, 1.1 * found, found / 1.1)
    ]
    assert losses[0] < min(losses[1:])
    assert ((logits / found).argmax(1) == logits.argmax(1)).all()


def test_without_images_the_temperature_is_one():
    assert evaluation.temperature(np.empty((0, 10), np.float32), np.empty(0, np.int64)) == 1.0


@pytest.mark.parametrize("images", [20, 180, 2000])
def test_a_split_without_an_error_is_no_certainty(images):
    """Else the temperature goes to its least, and the first error of the held-out split costs as much as all others."""
    random = np.random.default_rng(3)
    logits = random.normal(0, 1, (images, 10))
    labels = random.integers(0, 10, images)
    logits[np.arange(images), labels] += 8
    found = evaluation.temperature(logits.astype(np.float32), labels)
    wrong = 1 - softmax(logits / found, 1)[np.arange(images), labels].mean()
    assert 0.2 / images < wrong < 2 / images


def test_logits_are_those_of_the_network_at_rest_however_many_images_there_are(run_config, blobs):
    config = run_config(model={"family": "cnn", "width": 3, "dropout": 0.5})
    dataset = blobs(images=evaluation.EVALUATION_BATCH + 2)
    images = dataset.images
    images.setflags(write=False)
    part = Split(images, dataset.labels, np.zeros((len(images), 16), np.uint8))
    network = loop.network(config, type("Splits", (), {"train": part, "classes": dataset.classes}))
    network.train()
    found = evaluation.logits(network, part)
    assert found.shape == (len(images), 3) and found.dtype == np.float32
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(images.copy())).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_baseline_is_of_the_held_out_split_but_for_test():
    holdout = Evaluation(np.float32([[0.92, 0.08], [0.25, 0.75], [0.45, 0.55], [1.0, 0.0]]), np.array([0, 1, 0, 0]))
    test = Evaluation(np.float32([[0.9, 0.1], [0.2, 0.8]]), np.array([1, 0]))
    assert evaluation.baseline(holdout, test, ["head", "tail"]) == {
        "accuracy": 0.75,
        "standard_error": pytest.approx(math.sqrt(0.75 * 0.25 / 4)),
        "samples": 4,
        "calibration_error": pytest.approx((0.08 + 0.25 + 0.55) / 4),
        "confusion": [[2, 1], [0, 1]],
        "bins": {
            "head": {"0.9": {"count": 1, "correct": 1}, "0.999": {"count": 1, "correct": 1}},
            "tail": {"0.5": {"count": 1, "correct": 0}, "0.7": {"count": 1, "correct": 1}},
        },
        "test": {"accuracy": 0.0, "samples": 2},
    }
