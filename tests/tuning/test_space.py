import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.errors import InvalidInput
from training import config
from tuning import space, study
from tuning.space import Domain

BOUNDS = st.tuples(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)).filter(lambda pair: pair[0] < pair[1])


@given(BOUNDS, st.integers(0, 2**32), st.sampled_from(["uniform", "loguniform"]))
def test_samples_stay_between_the_ends(bounds, seed, kind):
    domain = Domain.model_validate({kind: bounds})
    assert bounds[0] <= domain.sample(random.Random(seed)) <= bounds[1]


def test_loguniform_gives_each_decade_its_share():
    domain = Domain(loguniform=(1e-4, 1e-1))
    source = random.Random(0)
    decades = [math.floor(math.log10(domain.sample(source))) for _ in range(3000)]
    assert all(abs(decades.count(decade) - 1000) < 100 for decade in (-4, -3, -2))


def test_loginteger_gives_each_number_the_share_of_what_is_rounded_to_it():
    domain = Domain(loginteger=(1, 2))
    source = random.Random(0)
    ones = [domain.sample(source) for _ in range(3000)].count(1)
    assert abs(ones / 3000 - math.log(3) / math.log(5)) < 0.03


@given(st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_points_and_another_does_not(seed):
    domains = {"a": Domain(uniform=(0, 1)), "b": Domain(choice=[1, 2, 3])}
    points = list(space.samples(domains, 5, seed))
    assert points == list(space.samples(domains, 5, seed))
    assert points != list(space.samples(domains, 5, seed + 1))


def test_more_trials_keep_the_earlier_points():
    domains = {"a": Domain(uniform=(0, 1))}
    assert list(space.samples(domains, 9, 0))[:4] == list(space.samples(domains, 4, 0))


def test_a_grid_has_every_combination_once():
    points = list(space.grid({"a": Domain(choice=[1, 2]), "b": Domain(choice=["x", "y", "z"])}))
    assert points[:3] == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 1, "b": "z"}]
    assert len({tuple(point.values()) for point in points}) == len(points) == 6


@pytest.mark.parametrize(
    ("domain", "sentence"),
    [
        ({}, "exactly one of choice, uniform, loguniform, integer, loginteger"),
        ({"choice": [1], "uniform": [0, 1]}, "exactly one of choice, uniform, loguniform, integer, loginteger"),
        ({"choice": []}, "at least 1 item"),
        ({"uniform": [1, 0]}, "low < high"),
        ({"uniform": [1, 1]}, "low < high"),
        ({"loguniform": [0, 1]}, "have a low above 0"),
        ({"uniform": [0]}, "missing"),
        ({"uniform": [0, float("inf")]}, "finite"),
        ({"normal": [0, 1]}, "not a known key"),
    ],
)
def test_a_wrong_domain_is_refused(domain, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        config.parse(Domain, domain)


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 30))
def test_of_choices_none_is_drawn_again_before_all_were(seed, size, trials):
    domains = {"a": Domain(choice=list(range(size))), "b": Domain(choice=["x", [1], None])}
    points = [str(point) for point in space.samples(domains, trials, seed)]
    for start in range(0, trials, 3 * size):
        turn = points[start : start + 3 * size]
        assert len(set(turn)) == len(turn)


@given(st.integers(-50, 50), st.integers(1, 40), st.integers(1, 7), st.integers(0, 2**32))
def test_integers_are_steps_from_the_low_end(low, width, step, seed):
    domain = Domain(integer=(low, low + width), step=min(step, width))
    value = domain.sample(random.Random(seed))
    assert isinstance(value, int) and value in domain.listed
    assert low <= min(domain.listed) and max(domain.listed) <= low + width


STEPPED = st.one_of(
    st.builds(
        lambda low, width, step: Domain(integer=(low, low + width), step=min(step, width)),
        st.integers(-50, 50), st.integers(1, 40), st.integers(1, 7),
    ),
    st.builds(
        lambda low, width, step: Domain(uniform=(low / 10, (low + width) / 10), step=min(step, width) / 10),
        st.integers(-50, 50), st.integers(1, 40), st.integers(1, 7),
    ),
    st.builds(lambda values: Domain(choice=values), st.lists(st.integers(0, 5), min_size=1)),
)  # fmt: skip


@given(STEPPED)
def test_values_are_counted_and_known_as_they_are_listed(domain):
    listed = domain.listed
    assert domain.count == len(listed) and all(map(domain.has, listed))
    assert not any(map(domain.has, [listed[0] + 0.05, max(listed) + 1, min(listed) - 1, math.nan, 10**400, "a", None]))
    if not domain.choice:
        assert domain.ends == (listed[0], listed[-1])


@pytest.mark.parametrize("domain", [Domain(integer=(1, 10**9)), Domain(uniform=(0.0, 1.0), step=1e-9)])
def test_many_values_are_counted_without_being_listed(domain, monkeypatch):
    monkeypatch.setattr(Domain, "listed", property(lambda _: pytest.fail("the values are listed")))
    assert domain.count >= 10**9 and domain.has(domain.ends[1]) and not domain.has(0.5e-9)
    assert len(list(space.samples({"a": domain}, 3, 0))) == 3
    assert isinstance(study._distribution(domain).single(), bool)


def test_steps_of_numbers_are_written_as_people_do():
    assert Domain(uniform=(0.0, 0.5), step=0.1).listed == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_loginteger_gives_each_octave_its_share():
    domain, source = Domain(loginteger=(1, 128)), random.Random(0)
    octaves = [int(math.log2(domain.sample(source))) for _ in range(7000)]
    assert all(abs(octaves.count(octave) - 1000) < 200 for octave in range(1, 7))


CONDITIONAL = {
    "kind": Domain(choice=["a", "b"]),
    "size": Domain(choice=[1, 2, 3], when={"kind": "a"}),
    "more": Domain(choice=[7], when={"kind": "a", "size": 2}),
}


def test_a_grid_has_conditional_keys_only_where_they_are_asked_for():
    assert list(space.grid(CONDITIONAL)) == [
        {"kind": "a", "size": 1},
        {"kind": "a", "size": 2, "more": 7},
        {"kind": "a", "size": 3},
        {"kind": "b"},
    ]


def test_samples_have_conditional_keys_only_where_they_are_asked_for():
    points = list(space.samples(CONDITIONAL, 40, 0))
    assert {space.written(point) for point in points} == {space.written(point) for point in space.grid(CONDITIONAL)}


@pytest.mark.parametrize(
    ("domain", "sentence"),
    [
        ({"integer": [1.5, 3]}, "integer"),
        ({"loginteger": [0, 3]}, "loginteger must have a low above 0"),
        ({"uniform": [0, 1], "step": 2}, "step must be at most 1"),
        ({"loguniform": [1, 2], "step": 0.1}, "step applies only to uniform and integer"),
        ({"integer": [1, 9], "step": 0.5}, "step of integer must be a whole number"),
    ],
)
def test_a_wrong_range_is_refused(domain, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        config.parse(Domain, domain)
