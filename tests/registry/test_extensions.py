import pytest

from registry import extensions, ledger, transitions
from registry.leases import Lease
from registry.ledger import Change, Report
from tests import sweeps

SWEEP = "fashion-1a2b3c"
CONFIGS = [{"epochs": 2}, {"epochs": 4}, {"epochs": 2}]
METRICS = {"val_loss": 0.5}


@pytest.fixture
def lease(registry):
    sweeps.begin(registry, SWEEP, {"name": "fashion"}, CONFIGS)
    return Lease(SWEEP, 1)


def trials(registry):
    return ledger.trials(registry, SWEEP)


def test_trials_that_are_outranked_and_states_that_nobody_needs_are_marked_until_they_are_thawed(registry, lease):
    state = registry.blobs.put(b"state")
    attempt = ledger.assign(registry, lease, 1, [1], "0.a")
    ledger.enter(registry, lease, [Change(1, "paused")], (1, attempt), state)
    ledger.outrank(registry, lease, [1, 2], [1])
    assert [trial.outranked for trial in trials(registry)] == [True, True, False]
    assert ledger.groups(registry, SWEEP)[1].state is None
    extensions.thaw(registry, lease, 1)
    assert [trial.outranked for trial in trials(registry)] == [False, True, False]


def test_a_trial_that_is_thawed_after_its_weights_were_deleted_begins_anew_and_has_those_that_come_then(
    registry, lease
):
    first, second, state = registry.blobs.put_all([b"weights", b"as a GPU repeats them", b"state"])
    attempt = ledger.assign(registry, lease, 1, [1, 2], "0.a")
    changes = [Change(number, "paused", report=Report(1, METRICS, first)) for number in (1, 2)]
    ledger.enter(registry, lease, changes, (1, attempt), state)
    extensions.thaw(registry, lease, 2)
    assert ledger.groups(registry, SWEEP)[1].state == state
    ledger.outrank(registry, lease, [1], [])
    extensions.thaw(registry, lease, 1)
    assert [trial.reports[0].checkpoint for trial in trials(registry)[:2]] == [None, first]
    assert ledger.groups(registry, SWEEP)[1].state is None
    for number in (1, 2):
        ledger.enter(registry, lease, [Change(number, report=Report(1, METRICS, second))])
    assert [trial.reports[0].checkpoint for trial in trials(registry)[:2]] == [second, first]


def test_a_longer_horizon_stands_in_spec_and_configs_and_forgets_what_was_chosen_at_the_shorter_one(registry, lease):
    weights, state = registry.blobs.put_all([b"weights", b"state"])
    for number in (1, 2, 3):
        attempt = ledger.assign(registry, lease, number, [number], "0.a")
        changes = [Change(number, "finished", report=Report(2, METRICS, weights), answers=weights)]
        ledger.enter(registry, lease, changes, (number, attempt), state)
    ledger.outrank(registry, lease, [2], [])
    longer = {number: {"epochs": config["epochs"] + 3} for number, config in enumerate(CONFIGS, 1)}
    statuses = {1: "paused", 2: "interrupted"}
    extensions.lengthen(registry, lease, {"name": "longer"}, longer, statuses, [2])
    assert ledger.sweep(registry, SWEEP).spec == {"name": "longer"}
    assert [trial.config for trial in trials(registry)] == [{"epochs": 5}, {"epochs": 7}, {"epochs": 5}]
    assert [trial.status for trial in trials(registry)] == ["paused", "interrupted", "finished"]
    assert [trial.answers for trial in trials(registry)] == [None] * 3
    assert not any(trial.outranked for trial in trials(registry))
    assert [trial.reports[0].checkpoint for trial in trials(registry)] == [weights, None, weights]
    assert [group.state for group in ledger.groups(registry, SWEEP).values()] == [state, None, state]


def test_failed_trials_are_tried_again_and_no_others(registry, lease):
    sweeps.set_trial(registry, SWEEP, 1, "failed", problem="no memory")
    sweeps.set_trial(registry, SWEEP, 2, "stopped")
    extensions.retry(registry, lease, [1, 2])
    assert [(trial.status, trial.problem) for trial in trials(registry)[:2]] == [
        ("interrupted", None),
        ("stopped", None),
    ]


@pytest.mark.parametrize(
    "extend",
    [
        lambda registry, lease: extensions.rewrite(registry, lease, {"name": "more trials"}),
        lambda registry, lease: extensions.thaw(registry, lease, 1),
        lambda registry, lease: extensions.retry(registry, lease, [1]),
    ],
)
def test_after_an_extension_the_best_are_chosen_anew(registry, lease, extend):
    answers = registry.blobs.put(b"answers")
    ledger.enter(registry, lease, [Change(number, answers=answers) for number in (1, 2)])
    extend(registry, lease)
    assert [trial.answers for trial in trials(registry)] == [None] * 3


def test_only_trials_that_ended_change_by_an_extension(registry):
    ended = {status for status, after in transitions.AFTER.items() if not after}
    assert transitions.EXTENDED.keys() <= ended
