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
def gathered(embedded):
    with Registry(embedded) as registry:
        return facts.gather(registry, packages.register(registry))


def sentences(gathered, **changes):
    """All limits as one text, of a version whose contents are changed."""
    return "\n".join(limits(replace(gathered, contents=replace(gathered.contents, **changes))))


def off(gathered, error):
    """The limits of a version with this calibration error."""
    return sentences(gathered, baseline=gathered.contents.baseline.model_copy(update={"calibration_error": error}))


def with_evidence(gathered, **changes):
    evidence = gathered.version.evidence.model_copy(update=changes).record()
    return replace(
        gathered, version=replace(gathered.version, columns={**gathered.version.columns, "evidence": evidence})
    )


def test_the_weakest_classes_come_first_with_what_they_are_taken_for(gathered):
    first, second, third = limits(gathered)[:3]
    assert first == (
        "Of class owl, 13 of 20 held-out images are classified correctly (65.0%, 95% interval 43.3% to 81.9%); "
        "4 are classified as dog."
    )
    assert (second[:12], third[:12]) == ("Of class cat", "Of class dog")


def test_a_class_without_an_error_is_no_limit(gathered):
    perfect = tuple(replace(one, right=one.support, mistaken=None) for one in gathered.contents.by_class)
    assert "Of class" not in sentences(gathered, by_class=perfect)


def test_classes_that_were_never_seen_or_answered(gathered):
    cat, dog, owl = gathered.contents.by_class
    dog = replace(dog, support=0, right=0, predicted=0, mistaken=None)
    text = sentences(gathered, by_class=(cat, dog, replace(owl, predicted=0)))
    assert "The held-out split has no image of dog: performance on such images is unknown." in text
    assert "No held-out image was classified as owl." in text
    many = tuple(replace(dog, name=f"c{index}") for index in range(12))
    assert "of c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 2 others:" in sentences(gathered, by_class=many)


def test_it_always_answers_one_of_its_classes(gathered):
    assert "Every image gets one of these 3 classes, even if it shows none of them" in sentences(gathered)
    assert "only on images of the data set pets." in sentences(gathered)
    assert "converted to grey images of 28 × 28 pixels" in sentences(gathered)
    changes = {"kind": "table", "shape": [1], "dtype": "float64", "columns": ["a"]}
    table = sentences(gathered, signature=Signature.of(gathered.contents.signature.record() | changes))
    assert "Every row gets one" in table and "colour modes" not in table


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (None, "Calibration was not measured"),
        (0.051, "off by 5.1 points on average (expected calibration error); on average it is overconfident"),
        (0.05, None),
    ],
)
def test_confidence_is_a_probability_only_where_it_was_shown(gathered, error, sentence):
    text = off(gathered, error)
    assert sentence in text if sentence else "probability:" not in text and "must not be read" not in text


def test_the_side_to_which_confidence_is_off(gathered):
    sure = with_evidence(gathered, accuracy=0.99)
    assert "underconfident" in off(sure, 0.2)


def test_errors_of_which_it_was_sure(gathered):
    bins = (Bin(0.98, 0.99, 50, 1), Bin(0.99, 0.995, 30, 29), Bin(0.999, 1.0, 70, 69))
    assert "of the 100 held-out images predicted with a confidence of 0.99 or more, 2 were" in sentences(
        gathered, bins=bins
    )
    assert "confidently wrong" not in sentences(gathered, bins=(Bin(0.98, 0.99, 50, 1), Bin(0.99, 0.995, 30, 30)))


def test_few_images_make_wide_intervals(gathered):
    assert "for 3 of 3 classes the recall is known only to within" in sentences(gathered)
    assert "(widest: owl, 20 images, 43.3% to 81.9%)" in sentences(gathered)
    many = tuple(replace(one, support=1000, right=950) for one in gathered.contents.by_class)
    assert "Few images" not in sentences(gathered, by_class=many)


def test_a_test_accuracy_that_is_lower_by_more_than_chance(gathered):
    worse = with_evidence(gathered, accuracy=0.9, samples=1000, test=Score(accuracy=0.87, samples=1000))
    assert "Test accuracy is 3.00 points under held-out accuracy" in sentences(worse)
    same = with_evidence(gathered, accuracy=0.9, samples=1000, test=Score(accuracy=0.88, samples=1000))
    assert "Test accuracy" not in sentences(same)
    unknown = with_evidence(gathered, accuracy=0.9, samples=1000, test=Score(accuracy=0.5, samples=0))
    assert "Test accuracy" not in sentences(unknown)


@pytest.mark.parametrize(("others", "sentence"), [(0, None), (1, "another version."), (1200, "1,200 other versions")])
def test_how_worn_the_held_out_split_is(gathered, others, sentence):
    text = sentences(replace(gathered, record=replace(gathered.record, judged_others=others)))
    assert sentence in text if sentence else "were used to judge" not in text


def test_what_nobody_measured_is_said(gathered):
    assert "Latency" not in sentences(gathered)
    assert "Latency was not measured" in sentences(with_evidence(gathered, latency=None))
    assert limits(gathered)[-1].startswith("Results are broken down only by class")


def test_nothing_is_claimed_of_data_that_was_not_recorded(gathered):
    unknown = replace(gathered, version=replace(gathered.version, columns={**gathered.version.columns, "lineage": {}}))
    assert "only on images of its training data." in sentences(unknown)
