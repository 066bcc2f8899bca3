import hashlib
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st

from tailorbird.errors import InvalidInput
from training import splits
from training.config import DataConfig
from training.datasets import Dataset

PARTS = ("train", "validation", "holdout", "test")


def dataset(images, labels, test=None):
    """A data set in which image number n is one and the same wherever n stands."""
    pixels = np.asarray(images, ">u4").view(np.uint8).reshape(-1, 2, 2)
    return Dataset("made", tuple("abc"), pixels, np.asarray(labels, np.int64), test)


def dealt(source, **sizes):
    return splits.split(source, DataConfig(name="digits", **sizes))


def dealt_if_it_can_be(source, **sizes):
    """Of random copies a part may have room for none."""
    try:
        return dealt(source, **sizes)
    except InvalidInput as refused:
        assert "equal examples stay together" in str(refused)
        reject()


def contents(part):
    """What lies in a part, in whatever order: (id, label) with how often."""
    return Counter(zip(map(bytes, part.ids), part.targets.tolist(), strict=True))


@st.composite
def cases(draw, copies=2):
    """A data set with so many copies of an image on average, within and across classes, and sizes that leave a rest."""
    count = draw(st.integers(8, 60))
    distinct = range(max(1, count // copies)) if copies > 1 else None
    images = draw(st.lists(st.sampled_from(distinct), min_size=count, max_size=count)) if distinct else range(count)
    labels = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    room = count - 3
    sizes = {}
    for name in ("test", "holdout", "validation"):
        sizes[name] = draw(st.integers(1 if name == "test" else 0, max(1, room - 2)))
        room -= sizes[name]
        if room < 0:
            sizes[name] += room
            room = 0
    return dataset(images, labels), {**sizes, "split_seed": draw(st.integers(0, 2**63 - 1))}


@given(cases() | cases(copies=1))
def test_the_parts_are_a_partition_and_copies_go_together(case):
    source, sizes = case
    whole = dealt_if_it_can_be(source, **sizes)
    parts = [getattr(whole, name) for name in PARTS]
    everything = Counter(zip(map(bytes, splits.content_ids(source.inputs)), source.targets.tolist(), strict=True))
    assert sum(map(contents, parts), Counter()) == everything
    places = [set(map(bytes, part.ids)) for part in parts]
    assert len(set().union(*places)) == sum(map(len, places))
    for part, name in zip(parts, PARTS, strict=True):
        assert (splits.content_ids(part.at(slice(None))) == part.ids).all()
        assert name == "train" or len(part) <= sizes[name]


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(case, random):
    source, sizes = case
    order = list(range(len(source.targets)))
    random.shuffle(order)
    before, after = (
        dealt_if_it_can_be(source, **sizes),
        dealt_if_it_can_be(replace(source, inputs=source.inputs[order], targets=source.targets[order]), **sizes),
    )
    for name in PARTS:
        assert contents(getattr(before, name)) == contents(getattr(after, name))


@given(cases(), st.integers(0, 5))
def test_what_judges_does_not_depend_on_how_many_are_validated_on(case, validation):
    source, sizes = case
    others = {**sizes, "validation": min(validation, sizes["validation"])}
    before, after = dealt_if_it_can_be(source, **sizes), dealt_if_it_can_be(source, **others)
    assert contents(before.holdout) == contents(after.holdout)
    assert contents(before.test) == contents(after.test)


@given(cases(copies=1))
@example((dataset(range(12), [0, 1, 2] * 4), {"test": 4, "holdout": 4, "validation": 1, "split_seed": 0}))
def test_without_copies_counts_are_exact_and_each_class_has_its_share_of_what_was_left(case):
    source, sizes = case
    parts = dealt(source, **sizes)
    left = Counter(source.targets.tolist())
    for name in ("test", "holdout", "validation"):
        part = getattr(parts, name)
        assert len(part) == sizes[name]
        taken = Counter(part.targets.tolist())
        for label, number in left.items():
            assert abs(taken[label] - sizes[name] * number / left.total()) < 1
        left -= taken
    assert Counter(parts.train.targets.tolist()) == left


@given(cases())
def test_a_published_test_split_stays_what_it_is(case):
    source, sizes = case
    test = dataset(range(1000, 1005), [2, 1, 0, 1, 2])
    parts = dealt_if_it_can_be(replace(source, test=(test.inputs, test.targets)), **{**sizes, "test": 0.9})
    assert (parts.test.inputs == test.inputs).all() and parts.test.targets.tolist() == [2, 1, 0, 1, 2]
    assert len(parts.train) + len(parts.validation) + len(parts.holdout) == len(source.targets)


def with_own_validation(source, images, labels):
    own = dataset(images, labels)
    return replace(source, validation=(own.inputs, own.targets))


def test_a_validation_split_of_its_own_is_chosen_on_and_none_is_dealt():
    source = with_own_validation(dataset(range(30), [0, 1, 2] * 10), [100, 101, 102], [0, 2, 1])
    parts = dealt(source, holdout=6, test=3)
    assert (parts.validation.at(slice(None)) == source.validation[0]).all() and parts.notes == ()
    assert parts.validation.targets.tolist() == [0, 2, 1]
    assert list(map(len, (parts.train, parts.validation, parts.holdout, parts.test))) == [21, 3, 6, 3]
    other = dealt(source, validation=0.5, holdout=6, test=3)
    assert len(other.validation) == 3 and (other.train.places == parts.train.places).all()
    assert other.notes == ("data.validation is ignored: made comes with a validation split of its own",)


def test_examples_that_an_own_validation_split_shares_with_what_is_dealt_are_noted():
    source = dataset(range(30), [0, 1, 2] * 10)
    parts = dealt(source, validation=0, holdout=6, test=3)
    trained, held, tested = (part.places[0] for part in (parts.train, parts.holdout, parts.test))
    own = with_own_validation(source, [100, 101, 102, trained, held, tested], [0, 1, 2, 0, 1, 2])
    assert dealt(own, holdout=6, test=3).notes == (
        "1 of 6 validation examples are in the training split too, and make the validation easier",
        "1 of 6 holdout examples are in the validation split too, and make the holdout easier",
        "1 of 3 test examples are in the validation split too, and make the test easier",
    )


def test_the_seed_decides_which_image_is_where():
    source = dataset(range(2000), [0, 1] * 1000)
    holdouts = [contents(dealt(source, holdout=500, split_seed=seed).holdout) for seed in (0, 1, 0, 2**63 - 1)]
    assert holdouts[0] == holdouts[2]
    for one, other in ((0, 1), (0, 3), (1, 3)):
        assert 90 < len(holdouts[one] & holdouts[other]) < 160  # 125 are expected by chance


def test_copies_across_classes_count_for_each_of_them():
    source = dataset([0, 0, *range(1, 19)], [0, 1, *[0, 1] * 9])
    for seed in range(20):
        parts = dealt(source, test=4, holdout=0, validation=0, split_seed=seed)
        assert Counter(parts.test.targets.tolist()) == {0: 2, 1: 2}


def test_more_copies_than_a_part_has_room_for_are_trained_on():
    parts = dealt(dataset([7] * 30 + list(range(10, 20)), [0] * 40), test=4, holdout=4, validation=0)
    assert (len(parts.test), len(parts.holdout), len(parts.train)) == (4, 4, 32)


def test_a_part_that_would_be_empty_is_refused_and_one_that_is_short_is_noted():
    rows = dataset([7] * 30 + [8] * 10, [0] * 20 + [1] * 20)
    with pytest.raises(
        InvalidInput, match=r"^data\.holdout: 4 of made cannot be split off: equal examples stay together"
    ):
        dealt(rows, test=30, holdout=4, validation=0)
    with pytest.raises(
        InvalidInput,
        match=r"; accepted: together data\.test \d+, data\.holdout 0; without held-out .* requires more",
    ):
        dealt(rows, test=30, holdout=4, validation=0)
    some = dealt(dataset([7] * 6 + [8, 9, 10, 11], [0] * 10), test=5, holdout=0, validation=0)
    assert len(some.test) == 4 and some.notes[0] == "data.test has 4 of 5: equal examples stay together"


def test_a_class_that_a_part_has_nothing_of_is_noted():
    parts = dealt(dataset(range(40), [0] * 20 + [1] * 19 + [2]), validation=4, holdout=0, test=4)
    assert parts.notes == tuple(
        f"data.{name} has no examples of 'c', so its figures say nothing about them" for name in ("validation", "test")
    )
    assert parts.absent(parts.train) == []
    assert dealt(dataset(range(40), [0] * 20 + [1] * 10 + [2] * 10), validation=9, holdout=0, test=9).notes == ()


def test_sizes_may_be_fractions_and_none_above_zero_is_nothing():
    source = dataset(range(40), [0, 1] * 20)
    parts = dealt(source, validation=0.1, holdout=0.25, test=0.5)
    assert [len(getattr(parts, name)) for name in PARTS] == [6, 4, 10, 20]
    parts = dealt(source, validation=0.0, holdout=1e-9, test=1)
    assert [len(getattr(parts, name)) for name in PARTS] == [38, 0, 1, 1]


@pytest.mark.parametrize(
    ("sizes", "field", "accepted"),
    [
        ({"validation": 60, "holdout": 10, "test": 1}, "data.validation", 37),
        ({"validation": 10, "holdout": 60, "test": 1}, "data.holdout", 37),
        ({"validation": 0.3, "holdout": 0.3, "test": 0.35}, "data.test", 37),
        ({"validation": 10**30, "holdout": 0, "test": 1}, "data.validation", 37),
        ({"validation": 18, "holdout": 19, "test": 1}, "data.holdout", 37),
    ],
)
def test_more_held_out_than_there_is_is_refused_by_the_largest_part(sizes, field, accepted):
    with pytest.raises(InvalidInput, match=f"accepted: together at most {accepted}") as refused:
        dealt(dataset(range(40), [0, 1] * 20), **sizes)
    assert refused.value.field == field
    assert "fewer than 3 of the 40 examples of made" in str(refused.value)


def test_as_much_as_is_accepted_can_be_held_out():
    parts = dealt(dataset(range(40), [0, 1] * 20), validation=18, holdout=18, test=1)
    assert len(parts.train) == 3


def test_trials_see_nothing_that_judges(digit_splits):
    seen = digit_splits.without_verdicts()
    assert seen.train is digit_splits.train and seen.validation is digit_splits.validation
    for part in (seen.holdout, seen.test):
        assert len(part) == len(part.targets) == 0 and part.at(slice(None)).shape == (0, 8, 8)
        assert part.ids.shape == (0, 16)


def test_an_id_is_that_of_the_pixels_and_of_nothing_else():
    pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    expected = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]
    assert list(map(bytes, splits.content_ids(pixels))) == expected
    assert list(map(bytes, splits.content_ids(np.asfortranarray(pixels)))) == expected


def test_digits_lie_where_they_always_lay(digit_splits):
    """Where another rule deals them otherwise, a retraining learns what the champion is judged on."""
    assert [len(getattr(digit_splits, name)) for name in PARTS] == [1078, 180, 180, 359]
    result = hashlib.sha256(b"".join(sorted(map(bytes, digit_splits.holdout.ids)))).hexdigest()
    assert result == "4e224f7ff6d3b534811c37a7dd5669b636e98713f125898d251051d226594ce7"


def test_fashion_is_dealt_evenly(published):
    parts = dealt(published("fashion_mnist"), validation=5000, holdout=5000)
    assert [len(getattr(parts, name)) for name in PARTS] == [50_000, 5000, 5000, 10_000]
    for name, each in zip(PARTS, (5000, 500, 500, 1000), strict=True):
        assert np.bincount(getattr(parts, name).targets).tolist() == [each] * 10


def test_all_inputs_come_in_batches_and_in_blocks_of_few_bytes(monkeypatch):
    part = dealt(dataset(range(40), [0, 1] * 20), validation=0, holdout=0, test=7).train
    whole = part.at(slice(None))
    monkeypatch.setattr(splits, "BLOCK_BYTES", 4 * 6 + 3)
    for parts, sizes in ((part.batches(10), [10, 10, 10, 3]), (part.blocks(), [6] * 5 + [3])):
        names = list(parts)
        assert [len(part) for part in names] == sizes and (np.concatenate(names) == whole).all()


@pytest.mark.parametrize(
    ("shape", "together"), [((28, 28), 512), ((32, 32, 3), 512), ((224, 224, 3), 27), ((9000, 9000), 1)]
)
def test_of_large_images_few_are_evaluated_at_once(shape, together):
    inputs = np.broadcast_to(np.zeros((), np.uint8), (3, *shape))
    assert splits.Split(inputs, np.arange(3), np.zeros(3, np.int64), np.zeros((3, 16), np.uint8)).together == together


@pytest.mark.parametrize("seed", range(3))
def test_rare_sets_of_labels_lie_in_every_part_as_often_as_in_all(seed):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (1000, 4, 4)).astype(np.uint8)
    labels = random.integers(0, 2, (1000, 12)).astype(np.float32)
    dealt = splits.split(
        Dataset("made", tuple("abcdefghijkl"), pixels, labels, None, "multilabel"),
        DataConfig(name="digits", validation=150, holdout=150, test=150, split_seed=seed),
    )
    for part in PARTS:
        assert np.abs(getattr(dealt, part).targets.mean(0) - labels.mean(0)).max() < 0.15


def test_test_examples_that_are_trained_on_are_noted():
    seen = (np.asarray([[[0, 0], [0, 7]], [[9, 9], [9, 9]]], np.uint8), np.asarray([0, 1]))
    source = dealt(dataset(range(12), [0, 1, 2] * 4, seen), validation=0, holdout=0)
    assert source.notes[-1] == "1 of 2 test examples are in the training split too, and make the test easier"
    whole = dataset(range(12), [0, 1, 2] * 4)
    source = dealt(dataset(range(12), [0, 1, 2] * 4, (whole.inputs, whole.targets)), validation=3, holdout=3)
    assert source.notes[-1].startswith("6 of 12 test examples are in the training split too")
    assert not dealt(dataset([0, 0, 0, *range(9)], [0, 1, 2] * 4), validation=0, holdout=0, test=3).notes


def test_of_many_small_classes_the_seed_draws_which_are_held_out():
    images, labels = np.arange(1600), np.arange(1600) // 4
    names = tuple(f"{position:03}" for position in range(400))
    pixels = images.astype(">u4").view(np.uint8).reshape(-1, 2, 2)
    source = Dataset("made", names, pixels, labels, None)
    held = [set(dealt(source, validation=0, holdout=40, test=1, split_seed=seed).holdout.targets) for seed in range(3)]
    for classes in held:
        assert len(classes) == 40 and 100 < np.mean(list(classes)) < 300  # not the first ones by name
    assert not held[0] == held[1] == held[2]


def advised(refused):
    """The sizes that a refusal names."""
    named = re.search("accepted: together (.*)$", refused.problem)
    return {name: int(size) for name, size in re.findall(r"data\.(\w+) (\d+)", named[1])} if named else None


def test_of_a_survey_of_few_different_rows_sizes_are_named_that_can_be_dealt_together():
    answers = np.repeat(np.arange(8), 50)
    with pytest.raises(InvalidInput, match=r"^data\.test: 40 of made cannot be split off: .* they are more") as refused:
        dealt(dataset(answers, answers % 2), test=40, holdout=40, validation=40)
    assert advised(refused.value) == {"test": 100, "holdout": 100, "validation": 100}
    parts = dealt(dataset(answers, answers % 2), **advised(refused.value))
    assert [len(getattr(parts, name)) for name in PARTS] == [100, 100, 100, 100]


@given(cases(copies=10))
def test_sizes_that_a_refusal_names_are_accepted(case):
    source, asked = case
    try:
        dealt(source, **asked)
        reject()
    except InvalidInput as refused:
        sizes = advised(refused)
    if sizes:
        parts = dealt(source, **{**asked, **sizes})
        assert all(len(getattr(parts, name)) for name, size in sizes.items() if size)
        assert set(parts.train.targets) == set(source.targets)


def test_where_no_sizes_do_more_different_examples_are_asked_for():
    with pytest.raises(InvalidInput, match="equal examples stay together, and they are more; accepted: data of more"):
        dealt(dataset([7] * 40, [0, 1] * 20), test=4, holdout=4, validation=4)


@pytest.mark.timeout(100)  # of what takes one second; by the square of the copies it would take half an hour
def test_many_copies_are_dealt_in_a_moment():
    answers = np.repeat(np.arange(4), 50_000)
    parts = dealt(dataset(answers, answers % 2), test=100_000, holdout=0, validation=0)
    assert len(parts.test) == 100_000


def test_rows_that_float32_would_make_equal_are_different_examples():
    rows = 1.7e9 + np.arange(60.0)[:, None]
    source = Dataset("dates", ("a", "b"), rows, np.arange(60) % 2, None, "binary", ("seconds",))
    assert not dealt(source, validation=10, holdout=10, test=10).notes
