from dataclasses import replace

import pytest

from registry.cards import facts
from registry.cards.contents import Bin
from registry.cards.limits import limits
from registry.core import Registry
from tailorbird.package.baseline import Score
from tailorbird.package.signature import Signature
from tests import packages


@pytest.fixture
def found(embedded):
    with Registry(embedded) as registry:
        return facts.gather(registry, packages.register(registry))


def told(found, **changes):
    """All limits as one text, of a version whose contents are changed."""
    return "\n".join(limits(replace(found, contents=replace(found.contents, **changes))))


def off(found, error):
    """The limits of a version with this calibration error."""
    return told(found, baseline=found.contents.baseline.model_copy(update={"calibration_error": error}))


def with_evidence(found, **changes):
    evidence = found.version.evidence.model_copy(update=changes).record()
    return replace(found, version=replace(found.version, columns={**found.version.columns, "evidence": evidence}))


def test_the_weakest_classes_come_first_with_what_they_are_taken_for(found):
    first, second, third = limits(found)[:3]
    assert first == (
        "Of class owl, 13 of 20 held-out images are classified correctly (65.0%, 95% interval 43.3% to 81.9%); "
        "4 are classified as dog."
    )
    assert (second[:12], third[:12]) == ("Of class cat", "Of class dog")


def test_a_class_without_an_error_is_no_limit(found):
    perfect = tuple(replace(one, right=one.support, mistaken=None) for one in found.contents.by_class)
    assert "Of class" not in told(found, by_class=perfect)


def test_classes_that_were_never_seen_or_answered(found):
    cat, dog, owl = found.contents.by_class
    dog = replace(dog, support=0, right=0, predicted=0, mistaken=None)
    text = told(found, by_class=(cat, dog, replace(owl, predicted=0)))
    assert "The held-out split has no image of dog: performance on such images is unknown." in text
    assert "No held-out image was classified as owl." in text
    many = tuple(replace(dog, name=f"c{index}") for index in range(12))
    assert "of c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 2 others:" in told(found, by_class=many)


def test_it_always_answers_one_of_its_classes(found):
    assert "Every image gets one of these 3 classes, even if it shows none of them" in told(found)
    assert "only on images of the data set pets." in told(found)
    assert "converted to grey images of 28 × 28 pixels" in told(found)
    changes = {"kind": "table", "shape": [1], "dtype": "float64", "columns": ["a"]}
    table = told(found, signature=Signature.of(found.contents.signature.record() | changes))
    assert "Every row gets one" in table and "colour modes" not in table


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (None, "Calibration was not measured"),
        (0.051, "off by 5.1 points on average (expected calibration error); on average it is overconfident"),
        (0.05, None),
    ],
)
def test_confidence_is_a_probability_only_where_it_was_shown(found, error, sentence):
    text = off(found, error)
    assert sentence in text if sentence else "probability:" not in text and "must not be read" not in text


def test_the_side_to_which_confidence_is_off(found):
    sure = with_evidence(found, accuracy=0.99)
    assert "underconfident" in off(sure, 0.2)


def test_errors_of_which_it_was_sure(found):
    bins = (Bin(0.98, 0.99, 50, 1), Bin(0.99, 0.995, 30, 29), Bin(0.999, 1.0, 70, 69))
    assert "of the 100 held-out images predicted with a confidence of 0.99 or more, 2 were" in told(found, bins=bins)
    assert "confidently wrong" not in told(found, bins=(Bin(0.98, 0.99, 50, 1), Bin(0.99, 0.995, 30, 30)))


def test_few_images_make_wide_intervals(found):
    assert "for 3 of 3 classes the recall is known only to within" in told(found)
    assert "(widest: owl, 20 images, 43.3% to 81.9%)" in told(found)
    many = tuple(replace(one, support=1000, right=950) for one in found.contents.by_class)
    assert "Few images" not in told(found, by_class=many)


def test_a_test_accuracy_that_is_lower_by_more_than_chance(found):
    worse = with_evidence(found, accuracy=0.9, samples=1000, test=Score(accuracy=0.87, samples=1000))
    assert "Test accuracy is 3.00 points under held-out accuracy" in told(worse)
    same = with_evidence(found, accuracy=0.9, samples=1000, test=Score(accuracy=0.88, samples=1000))
    assert "Test accuracy" not in told(same)
    unknown = with_evidence(found, accuracy=0.9, samples=1000, test=Score(accuracy=0.5, samples=0))
    assert "Test accuracy" not in told(unknown)


@pytest.mark.parametrize(("others", "sentence"), [(0, None), (1, "another version."), (1200, "1,200 other versions")])
def test_how_worn_the_held_out_split_is(found, others, sentence):
    text = told(replace(found, record=replace(found.record, judged_others=others)))
    assert sentence in text if sentence else "were used to judge" not in text


def test_what_nobody_measured_is_said(found):
    assert "Latency" not in told(found)
    assert "Latency was not measured" in told(with_evidence(found, latency=None))
    assert limits(found)[-1].startswith("Results are broken down only by class")


def test_nothing_is_claimed_of_data_that_was_not_recorded(found):
    unknown = replace(found, version=replace(found.version, columns={**found.version.columns, "lineage": {}}))
    assert "only on images of its training data." in told(unknown)
