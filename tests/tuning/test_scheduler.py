import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning.scheduler import Bracket, Scheduler, Standing, merit

HALVING, ASHA = Scheduler("halving"), Scheduler("asha")


def configured(epochs, *measure_every, schedule="constant"):
    """What run configs say of when their trials are measured."""
    return [{"epochs": epochs, "measure_every": every, "schedule": {"name": schedule}} for every in measure_every]


def bracket(*curves, rungs=(1, 3), status="paused"):
    """Trials with their scores from epoch 1 on."""
    trials = [Standing(number, (1, 8), status, dict(enumerate(curve, 1))) for number, curve in enumerate(curves, 1)]
    return Bracket(trials, rungs)


@pytest.mark.parametrize(
    ("epochs", "every", "rivals", "rungs"),
    [
        (8, 1, 32, [1, 3]),
        (1, 1, 32, []),
        (3, 1, 32, [1]),
        (4, 1, 32, [1, 3]),
        (30, 1, 2, [1, 3, 9, 27]),
        (20, 2, 9, [2, 4, 10]),
        (20, 40, 9, []),
        (8, 1, 1, []),
    ],
)
def test_rungs_are_thirds_of_each_other_at_epochs_that_are_measured(epochs, every, rivals, rungs):
    configs = configured(epochs, *[every] * rivals)
    assert HALVING.rungs(configs) == rungs
    assert Scheduler("none").rungs(configs) == []
    assert HALVING.rungs(configs, probe=True) == ([0, *rungs] if epochs > 1 < rivals else [])
    assert ASHA.rungs(configs, probe=True) == rungs


@pytest.mark.parametrize(
    ("epochs", "every", "rungs"), [(30, (2, 3), [6, 12]), (30, (2, 4, 2), [4, 12, 28]), (9, (4, 5), [])]
)
def test_at_a_rung_all_are_measured_however_often_each_is(epochs, every, rungs):
    assert HALVING.rungs(configured(epochs, *every)) == rungs


def test_only_trials_whose_rate_is_constant_are_compared_by_a_probe():
    mixed = [*configured(4, 1), *configured(4, 1, schedule="cosine")]
    assert HALVING.rungs(mixed, probe=True) == HALVING.rungs(mixed) == [1, 3]


def test_a_trial_that_was_paused_before_its_first_rung_is_trained_again():
    rivals = bracket([0.1, 0.2], [0.3, 0.4], rungs=(6,))
    assert HALVING.due(rivals) == [1, 2] and HALVING.behind(rivals) == []


def test_the_best_third_rounded_up_goes_on_and_of_equals_the_earlier():
    rivals = bracket([0.1], [0.5], [0.5], [0.5])
    assert rivals.survivors(1) == {2, 3}
    assert HALVING.due(rivals) == [2, 3]


def test_nobody_goes_on_before_the_last_has_come():
    rivals = bracket([0.1], [0.5], [0.9])
    rivals.trials[0].scores.clear()
    rivals.trials[0].status = "running"
    assert rivals.survivors(1) is None
    assert HALVING.due(rivals) == []
    rivals.trials[0].status = "failed"
    assert rivals.survivors(1) == {3}


def test_a_second_rung_is_among_the_survivors_of_the_first():
    rivals = bracket(*([score / 10] * (3 if score > 5 else 1) for score in range(9)))
    assert rivals.survivors(1) == {7, 8, 9}
    assert rivals.survivors(3) == {9}
    assert HALVING.due(rivals) == [9]


def test_a_thawed_trial_goes_on_beside_the_survivors():
    rivals = bracket([0.1], [0.5], [0.9])
    rivals.trials[0].thawed = True
    assert HALVING.due(rivals) == [1, 3]
    assert HALVING.answer(rivals.trials[0], 3, rivals) == "go on"


@pytest.mark.parametrize(("epoch", "answer"), [(1, "pause"), (2, "go on"), (3, "pause"), (4, "go on")])
def test_at_a_rung_a_trial_waits(epoch, answer):
    rivals = bracket([0.1, 0.2, 0.3, 0.4], [0.2])
    assert HALVING.answer(rivals.trials[0], epoch, rivals) == answer


def test_asha_compares_with_those_that_have_come_so_far():
    rivals = bracket([0.5], [], [])
    assert ASHA.answer(rivals.trials[0], 1, rivals) == "go on"
    rivals.trials[1].scores[1] = 0.4
    assert ASHA.answer(rivals.trials[1], 1, rivals) == "stop"
    rivals.trials[2].scores[1] = 0.6
    assert ASHA.answer(rivals.trials[2], 1, rivals) == "go on"


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.randoms())
def test_who_goes_on_does_not_depend_on_the_order_of_arrival(scores, source):
    rivals = bracket(*([score] for score in scores))
    shuffled = Bracket(source.sample(list(rivals.trials), len(scores)), rivals.rungs)
    survivors = rivals.survivors(1)
    assert survivors == shuffled.survivors(1)
    assert len(survivors) == math.ceil(len(scores) / 3)
    least = min(scores[number - 1] for number in survivors)
    assert all(score <= least for number, score in enumerate(scores, 1) if number not in survivors)


def test_how_many_epochs_a_bracket_takes():
    assert bracket(*[[]] * 32).expected(8) == 32 + 11 * 2 + 4 * 5


def test_a_trial_that_came_further_has_more_merit():
    rivals = bracket([0.9], [0.1, 0.1, 0.2], [0.1, 0.1, 0.1, 0.1])
    rivals.trials[2].status, rivals.trials[2].best = "finished", 0.1
    merits = [merit(trial, rivals.rungs, rivals.trials) for trial in rivals.trials]
    assert 0 < merits[0] < merits[1] < merits[2] <= 1
    assert merit(Standing(9, (1, 8), "failed"), rivals.rungs, rivals.trials) == 0


def test_of_finished_trials_the_weights_themselves_decide_not_the_running_means():
    rivals = bracket([0.9, 0.9, 0.9, 0.5], [0.6, 0.6, 0.6, 0.7], status="finished")
    for trial in rivals.trials:
        trial.best = trial.scores[4]
    first, second = (merit(trial, rivals.rungs, rivals.trials) for trial in rivals.trials)
    assert first < second
