import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.errors import InvalidInput
from training import config
from tuning import space
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
    ("given", "sentence"),
    [
        ({}, "exactly one of choice, uniform, loguniform, integer, loginteger"),
        ({"choice": [1], "uniform": [0, 1]}, "exactly one of choice, uniform, loguniform, integer, loginteger"),
        ({"choice": []}, "at least 1 item"),
        ({"uniform": [1, 0]}, "low < high"),
        ({"uniform": [1, 1]}, "low < high"),
        ({"loguniform": [0, 1]}, "begin above 0"),
        ({"uniform": [0]}, "missing"),
        ({"uniform": [0, float("inf")]}, "finite"),
        ({"normal": [0, 1]}, "not a known key"),
    ],
)
def test_a_wrong_domain_is_refused(given, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        config.parse(Domain, given)


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 30))
def test_of_choices_none_is_drawn_again_before_all_were(seed, size, trials):
    domains = {"a": Domain(choice=list(range(size))), "b": Domain(choice=["x", [1], None])}
    points = [str(point) for point in space.samples(domains, trials, seed)]
    for start in range(0, trials, 3 * size):
        turn = points[start : start + 3 * size]
        assert len(set(turn)) == len(turn)
