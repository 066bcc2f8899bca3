import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import RunConfig
from tuning.groups import grouped


def config(family="mlp", **changes):
    raw = {"data": {"name": "iris"}, "model": {"family": family}, **changes}
    return RunConfig.model_validate(raw).model_dump(mode="json")


def test_what_has_one_shape_is_one_group():
    same = [
        config(),
        config(optimizer={"lr": 0.1, "weight_decay": 0.1}),
        config(seed=4),
        config(epochs=7),
        config(model={"family": "mlp", "dropout": 0.5}),
    ]
    assert grouped(same, 8, 1) == [1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "changes",
    [{"measure_every": 7}, {"batch_size": 7}, {"model": {"family": "mlp", "width": 7}}, {"optimizer": {"name": "sgd"}}],
)
def test_what_has_another_shape_or_pace_is_another_group(changes):
    assert grouped([config(), config(**changes), config()], 8, 5) == [5, 6, 5]


def test_heads_of_a_frozen_backbone_are_a_group_and_tuned_ones_are_apart():
    heads = [{"family": "pretrained", "backbone": "resnet18", "dropout": rate} for rate in (0.0, 0.5)]
    configs = [config(model=head) for head in heads] + [config(model={**head, "tune": "last"}) for head in heads]
    assert grouped(configs, 8, 1) == [1, 1, 2, 3]


def test_convolutions_are_apart_and_so_is_what_is_compiled():
    assert grouped([config("cnn"), config("cnn"), config(compile=True), config(compile=True)], 8, 1) == [1, 2, 3, 4]


@given(st.lists(st.integers(1, 3), max_size=40), st.integers(1, 8))
def test_groups_are_no_larger_than_asked_and_equally_large(widths, most):
    configs = [config(model={"family": "mlp", "width": width}) for width in widths]
    numbers = grouped(configs, most, 1)
    assert all(numbers.count(number) <= most for number in numbers)
    assert set(numbers) == set(range(1, len(set(numbers)) + 1))
    for width in set(widths):
        mine = [number for number, one in zip(numbers, widths, strict=True) if one == width]
        assert mine == sorted(mine)
        sizes = [mine.count(number) for number in set(mine)]
        assert len(sizes) == -(-len(mine) // most) and max(sizes) - min(sizes) <= 1
