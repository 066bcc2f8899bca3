import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tailorbird.errors import Corrupt, InvalidInput
from training import checkpoint
from training.config import Objective
from training.features import Views
from training.lanes import Lanes
from training.loop import Run
from training.stack import Stack

LANE = {
    "seed": st.integers(0, 3),
    "optimizer": st.fixed_dictionaries(
        {
            "name": st.sampled_from(["sgd", "adam", "adamw", "rmsprop"]),
            "lr": st.floats(1e-4, 0.1),
            "weight_decay": st.sampled_from([0.0, 0.01]),
        }
    ),
    "model": st.fixed_dictionaries(
        {
            "family": st.just("mlp"),
            "width": st.sampled_from([8, 24, [24, 16], [16, 8, 8]]),
            "dropout": st.sampled_from([0.0, 0.1, 0.5]),
        }
    )
    | st.just({"family": "linear"}),
    "schedule": st.sampled_from([{"name": "constant"}, {"name": "one_cycle"}, {"name": "cosine"}]),
    "ema": st.sampled_from([None, 0.9]),
    "epochs": st.integers(1, 4),
}
GROUP = st.lists(st.fixed_dictionaries(LANE), min_size=2, max_size=8)

MLP = {"family": "mlp", "width": [24, 16], "dropout": 0.2}


@pytest.fixture
def configs(run_config):
    base = {"model": MLP, "batch_size": 32}
    return [
        run_config(**base, epochs=2),
        run_config(**base, epochs=4, optimizer={"lr": 0.01}, measure_every=2),
        run_config(**base, epochs=3, seed=7),
    ]


def alone(config, few):
    run = Run(config, few)
    return [epoch.record() | {"seconds": 0} for epoch in run], checkpoint.encode(run.best_state)


def history(lanes, lane):
    return [epoch.record() | {"seconds": 0} for epoch in lanes.progress(lane).epochs], lanes.weights(lane)


def by_itself(config, few):
    return history(finished(Lanes([config], few, Objective())), 0)


def near(one, other):
    """Whether histories are the same but for low digits, in which a lane differs from a run."""
    return len(one[0]) == len(other[0]) and all(
        epoch == pytest.approx(expected, abs=1e-3) for epoch, expected in zip(one[0], other[0], strict=True)
    )


def finished(lanes):
    while lanes.active:
        lanes.step()
    return lanes


def test_each_lane_has_the_result_that_it_would_have_alone(configs, few):
    lanes = Lanes(configs, few, Objective())
    first = lanes.step()
    assert {lane: epoch.epoch for lane, epoch in first.items()} == {0: 1, 1: 2, 2: 1}
    lanes.step()
    assert lanes.active == (2,)
    finished(lanes)
    for lane, config in enumerate(configs):
        assert history(lanes, lane) == by_itself(config, few)
        assert near(history(lanes, lane), alone(config, few))


def test_a_lane_that_leaves_changes_no_other_and_can_go_on(configs, few):
    lanes = Lanes(configs, few, Objective())
    lanes.step()
    lanes.leave(2)
    assert lanes.active == (0, 1)
    finished(lanes)
    assert lanes.progress(2).trained == 1
    lanes.enter(2)
    finished(lanes)
    assert all(history(lanes, lane) == by_itself(config, few) for lane, config in enumerate(configs))


def test_a_group_goes_on_from_its_state(configs, few):
    lanes = Lanes(configs, few, Objective())
    lanes.step()
    lanes.leave(0)
    again = Lanes(configs, few, Objective(), lanes.state())
    assert again.active == (1, 2)
    again.enter(0)
    finished(again)
    assert all(history(again, lane) == by_itself(config, few) for lane, config in enumerate(configs))


def test_what_is_not_begun_again_rests_in_the_state_and_data_are_shared(configs, few):
    lanes, views = Lanes(configs, few, Objective()), Views(few)
    lanes.step()
    second = Lanes(configs, few, Objective(), lanes.state(), [1], views)
    assert second.active == (1,)
    shared = views.data(configs[1])
    third = Lanes(configs, few, Objective(), second.state(), views=views)
    assert third.active == (1,)
    assert views.data(configs[1]) is shared
    for lane in (0, 2):
        third.enter(lane)
    finished(third)
    assert all(history(third, lane) == by_itself(config, few) for lane, config in enumerate(configs))


def test_data_that_no_lane_needs_are_let_go(configs, few):
    views = Views(few)
    other = views.data(configs[0].model_copy(update={"device": "cpu"}))
    Lanes([configs[0].model_copy(update={"device": "auto"})], few, Objective(), views=views)
    assert views.data(configs[0].model_copy(update={"device": "cpu"})) is not other


def test_a_lane_that_fails_ends_alone(configs, run_config, few):
    spoiled = run_config(model={"family": "mlp", "depth": 6}, optimizer={"name": "sgd", "lr": 100.0, "momentum": 0.9})
    lanes = Lanes([*configs, spoiled], few, Objective())
    assert lanes.step().keys() == {0, 1, 2}
    assert lanes.active == (0, 1, 2) and "lower optimizer.lr" in str(lanes.failures[3])
    again = Lanes([*configs, spoiled], few, Objective(), lanes.state())
    assert again.active == (0, 1, 2)


def test_what_goes_wrong_in_a_stack_ends_its_lanes_and_no_other(configs, run_config, few, monkeypatch):
    def step(_):
        raise MemoryError("no room")

    monkeypatch.setattr(Stack, "step", step)
    apart = run_config(model={"family": "mlp", "activation": "tanh"})
    lanes = Lanes([*configs, apart], few, Objective())
    assert lanes.step().keys() == {3}
    assert lanes.active == (3,) and {str(error) for error in lanes.failures.values()} == {"no room"}


def test_another_state_is_refused(configs, few):
    state = Lanes(configs, few, Objective()).state()
    with pytest.raises(InvalidInput, match="another config or other data"):
        Lanes(configs[::-1], few, Objective(), state)
    with pytest.raises(InvalidInput, match="state: has a lane 2, and this group has 2 runs"):
        Lanes(configs[:2], few, Objective(), state)
    with pytest.raises(Corrupt):
        Lanes(configs, few, Objective(), state[:-5])


def test_while_its_rate_is_still_to_decay_a_lane_is_compared_by_a_running_mean(run_config, few):
    config = run_config(model=MLP, batch_size=32, epochs=4, schedule={"name": "one_cycle"}, optimizer={"lr": 0.02})
    lanes = Lanes([config, run_config(model=MLP, epochs=4)], few, Objective())
    lanes.step()
    again = Lanes([config, run_config(model=MLP, epochs=4)], few, Objective(), lanes.state())
    for group in (finished(lanes), finished(again)):
        decaying, constant = (group.progress(lane).epochs for lane in range(2))
        assert ["mean_val_accuracy" in epoch.metrics() for epoch in decaying] == [True, True, True, False]
        assert not any("mean_val_loss" in epoch.metrics() for epoch in constant)
        assert all(epoch.mean_val_loss != epoch.val_loss for epoch in decaying)
    assert history(lanes, 0) == history(again, 0)
    means, weights = history(lanes, 0)
    without = [{key: value for key, value in mean.items() if not key.startswith("mean_")} for mean in means]
    assert near((without, weights), alone(config, few))


def moved(run):
    """What a step has changed, but for the weights of optimisers that make a whole step of the least gradient."""
    adaptive = run.config.optimizer.name != "sgd"
    return {
        name: tensor for name, tensor in run.state.tensors().items() if not adaptive or name.startswith("optimizer.")
    }


@pytest.mark.long
@settings(max_examples=200)
@given(GROUP)
def test_the_first_step_of_any_group_is_that_of_its_runs_alone(run_config, few, lanes):
    configs = [run_config(**lane, batch_size="full") for lane in lanes]
    group = Lanes(configs, few, Objective())
    runs = dict(group._runs)
    group.step()
    for lane, config in enumerate(configs):
        run = Run(config, few, compared=True)
        run.step()
        alone, together = moved(run), moved(runs[lane])
        assert alone.keys() == together.keys()
        assert all(torch.allclose(alone[name], together[name], rtol=1e-5, atol=1e-6) for name in alone)


@pytest.mark.long
@settings(max_examples=40)
@given(GROUP, st.sampled_from([32, 64]))
def test_runs_of_any_group_end_within_the_spread_of_seeds(run_config, few, lanes, batch_size):
    configs = [run_config(**lane, batch_size=batch_size) for lane in lanes]
    group = finished(Lanes(configs, few, Objective()))
    for lane, config in enumerate(configs):
        ends = []
        for seed in range(config.seed, config.seed + 4):
            *_, last = Run(config.model_copy(update={"seed": seed}), few)
            ends.append(last.val_accuracy)
        spread = max(ends) - min(ends) + 2 / len(few.validation)
        assert abs(group.progress(lane).epochs[-1].val_accuracy - ends[0]) <= spread
