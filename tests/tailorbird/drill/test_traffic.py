import numpy as np
import pytest

from tailorbird.drill.traffic import LATE_STEPS, Scenario, Traffic
from tailorbird.errors import InvalidInput
from training.splits import Split

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def split():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (300, 8, 8), np.uint8)
    return Split(images, np.arange(300), np.arange(300) % 3, random.integers(0, 256, (300, 16), np.uint8))


def test_clean_traffic_is_the_test_split(split):
    batch = Traffic(Scenario("blur"), split, CLASSES).batch(50, spoiled=False)
    known = {image.tobytes(): target for image, target in zip(split.inputs, split.targets, strict=True)}
    assert [known[image.tobytes()] for image in batch.inputs] == batch.truth.tolist()


def test_a_corruption_changes_images_and_no_truth(split):
    clean, blurred = (Traffic(Scenario(name), split, CLASSES).batch(50, spoiled=True) for name in (None, "blur"))
    assert (clean.truth == blurred.truth).all()
    assert (clean.inputs != blurred.inputs).any()


def test_a_class_gets_the_share_that_was_asked_for(split):
    batch = Traffic(Scenario(mix={"owl": 0.8}), split, CLASSES).batch(5000, spoiled=True)
    assert np.bincount(batch.truth, minlength=3) / 5000 == pytest.approx([0.1, 0.1, 0.8], abs=0.03)


def test_strangers_take_the_place_of_one_class(split):
    batch = Traffic(Scenario(unseen="dog"), split, CLASSES).batch(300, spoiled=True)
    known = {image.tobytes() for image in split.inputs}
    strange = np.array([image.tobytes() not in known for image in batch.inputs])
    assert (strange == (batch.truth == 1)).mean() > 0.98


def test_two_classes_are_called_by_each_others_names(split):
    swapped = Traffic(Scenario(flip=("cat", "dog")), split, CLASSES).batch(100, spoiled=True).truth
    plain = Traffic(Scenario(), split, CLASSES).batch(100, spoiled=True).truth
    assert (swapped == np.array([1, 0, 2])[plain]).all()


@pytest.mark.parametrize(("labels", "sure", "unsure"), [("prompt", 0.5, 0.5), ("uneven", 0.05, 0.5), ("none", 0, 0)])
def test_labels_come_as_they_are_said_to(split, labels, sure, unsure):
    traffic = Traffic(Scenario(labels=labels), split, CLASSES)
    assert traffic.labelled(np.full(5000, 0.99)).mean() == pytest.approx(sure, abs=0.03)
    assert traffic.labelled(np.full(5000, 0.5)).mean() == pytest.approx(unsure, abs=0.03)


def test_late_labels_are_late(split):
    assert Traffic(Scenario(labels="late"), split, CLASSES).delay == LATE_STEPS
    assert Traffic(Scenario(), split, CLASSES).delay == 0


def test_a_scenario_of_other_classes_is_refused(split):
    with pytest.raises(InvalidInput, match=r"--flip: 'cow' is not a class; accepted: cat, dog, owl"):
        Traffic(Scenario(flip=("cat", "cow")), split, CLASSES)


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    rows = random.normal(-3, 300, (300, 4))
    return Split(rows, np.arange(300), np.arange(300) % 3, random.integers(0, 256, (300, 16), np.uint8))


@pytest.mark.parametrize("scenario", [Scenario(), Scenario(mix={"owl": 0.8}), Scenario(flip=("cat", "dog"))])
def test_rows_of_a_table_stay_what_they_are(table, scenario):
    batch = Traffic(scenario, table, CLASSES).batch(50, spoiled=True)
    assert batch.inputs.dtype == np.float64
    assert {row.tobytes() for row in batch.inputs} <= {row.tobytes() for row in table.inputs}


@pytest.mark.parametrize(
    ("option", "scenario"), [("--corruption", Scenario("blur")), ("--unseen", Scenario(unseen="cat"))]
)
def test_what_is_made_for_images_is_refused_for_a_table(table, option, scenario):
    with pytest.raises(InvalidInput, match=f"{option}: applies only to images"):
        Traffic(scenario, table, CLASSES)


def test_names_of_classes_may_be_given_in_any_form(split):
    classes = ("cat", "dog", "Äffchen")
    wanted = Scenario(mix={"A\u0308ffchen": 0.8}, unseen=" dog", flip=("cat ", "A\u0308ffchen"))
    plain = Scenario(mix={"Äffchen": 0.8}, unseen="dog", flip=("cat", "Äffchen"))
    batches = [Traffic(scenario, split, classes).batch(50, spoiled=True) for scenario in (wanted, plain)]
    assert (batches[0].truth == batches[1].truth).all() and (batches[0].inputs == batches[1].inputs).all()
