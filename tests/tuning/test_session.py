from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training import datasets, splits
from training.config import DataConfig, Objective, RunConfig
from training.features import Views
from training.lanes import Lanes
from tuning.session import Session
from tuning.work import Work

DATA = DataConfig(name="iris", validation=0.2, holdout=0)


@pytest.fixture(scope="module")
def dealt():
    return splits.split(datasets.load(DATA, None, None), DATA)


def config(**changes):
    raw = {"data": DATA.model_dump(), "model": {"family": "mlp", "width": 8}, "epochs": 4, "device": "cpu", **changes}
    return RunConfig.model_validate(raw).model_dump(mode="json")


CONFIGS = {
    3: config(),
    4: config(optimizer={"lr": 0.1}),
    7: config(seed=5, early_stopping={"patience": 1}),
    8: config(epochs=2),
}
DIVERGING = config(optimizer={"name": "sgd", "lr": 100.0, "weight_decay": 100.0}, batch_size=1)


def work(configs=CONFIGS, **changes):
    made = {
        "group": 1,
        "attempt": 1,
        "configs": configs,
        "due": list(configs),
        "ended": {},
        "rungs": [],
        "state": None,
    }
    return Work(**{**made, **changes})


def trained(session, answers=lambda _: "go on"):
    """What a session measures until it is over, by trial."""
    curves, problems, states = {}, {}, []
    while not session.over:
        step = session.step()
        for one in step.measured:
            curves.setdefault(one.trial, []).append((one.epoch, {**one.metrics, "seconds": 0}, one.weights))
        problems |= step.problems
        states.append(step.state)
        session.obey({one.trial: answers(one) for one in step.measured if not one.whole})
    return curves, problems, states


@pytest.fixture(scope="module")
def whole(dealt):
    return trained(Session(work(), Views(dealt), Objective()))[0]


def test_every_trial_trains_to_its_end_with_figures_of_the_test_split(whole):
    assert whole.keys() == {3, 4, 7, 8}
    assert [epoch for epoch, _, _ in whole[3]] == [1, 2, 3, 4]
    for curve in whole.values():
        assert "test_accuracy" in curve[-1][1] and "test_accuracy" not in curve[0][1]
        assert curve[0][2] is not None


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 3), st.lists(st.sampled_from(sorted(CONFIGS)), max_size=2, unique=True))
def test_what_goes_on_from_a_state_is_what_it_was(dealt, whole, until, paused):
    first = Session(work(rungs=[until]), Views(dealt), Objective())
    curves, _, states = trained(first, lambda one: "pause" if one.epoch == until else "go on")
    state = next(state for state in states if state is not None)
    due = [number for number in CONFIGS if number not in paused and len(curves[number]) < len(whole[number])]
    second = Session(work(due=due, state=state), Views(dealt), Objective())
    rest, _, _ = trained(second)
    assert rest.keys() == set(due)
    for number in due:
        assert curves[number] + rest[number] == whole[number]


def test_what_ended_after_the_state_is_trained_again_beside_the_others(dealt, whole):
    first = Session(work(rungs=[1]), Views(dealt), Objective())
    state = first.step().state
    second = Session(work(due=[3], ended={4: 3}, state=state), Views(dealt), Objective())
    curves, _, _ = trained(second, lambda one: "stop" if one.trial == 4 and one.epoch == 3 else "go on")
    assert curves == {3: whole[3][1:], 4: whole[4][1:3]}


def test_a_trial_that_fails_fails_alone_and_is_told_once(dealt, whole):
    curves, problems, _ = trained(Session(work({3: CONFIGS[3], 9: DIVERGING}), Views(dealt), Objective()))
    assert curves == {3: whole[3]}
    assert problems.keys() == {9} and "lower optimizer.lr" in problems[9]


def test_a_trial_without_its_final_figures_is_trained_again_from_the_beginning(dealt, whole, monkeypatch):
    first = Session(work({3: CONFIGS[3], 8: CONFIGS[8]}, rungs=[2]), Views(dealt), Objective())
    with monkeypatch.context() as patch:
        patch.setattr(Lanes, "final", mock.Mock(side_effect=MemoryError("too large")))
        first.step()
        step = first.step()
    assert ([one.trial for one in step.measured], step.problems) == ([3], {8: "MemoryError: too large"})
    for due in ([8], [3, 8]):
        again = Session(work({3: CONFIGS[3], 8: CONFIGS[8]}, due=due, state=step.state), Views(dealt), Objective())
        assert trained(again)[0] == {number: {3: whole[3][2:], 8: whole[8]}[number] for number in due}


def test_a_probe_leaves_nothing_to_go_on_from(dealt, whole):
    curves, problems, states = trained(Session(work({**CONFIGS, 9: DIVERGING}, rungs=[0]), Views(dealt), Objective()))
    assert [epoch for curve in curves.values() for epoch, _, _ in curve] == [0, 0, 0, 0] and states == [None]
    assert all(curve[0][1]["val_loss"] != whole[number][0][1]["val_loss"] for number, curve in curves.items())
    assert "of epoch 1" in problems[9]
    again = Session(work(due=[3], rungs=[1]), Views(dealt), Objective())
    assert trained(again)[0] == {3: whole[3]}


def test_a_trial_that_the_state_lacks_is_begun(dealt, whole):
    first = Session(work(due=[3, 7], rungs=[1]), Views(dealt), Objective())
    second = Session(work(due=[3, 4], state=first.step().state), Views(dealt), Objective())
    assert trained(second)[0] == {3: whole[3][1:], 4: whole[4]}


def test_state_is_stored_at_every_rung(dealt):
    session = Session(work(rungs=[1, 3]), Views(dealt), Objective())
    assert [session.step().state is not None for _ in range(4)] == [True, False, True, False]


def test_state_is_stored_after_half_a_minute(dealt):
    clock = iter(range(0, 1000, 20))
    session = Session(work(), Views(dealt), Objective(), clock=lambda: next(clock))
    assert [session.step().state is not None for _ in range(3)] == [False, True, False]
