import tracemalloc
from unittest import mock

import pytest

from registry import ledger, news, schema
from registry.core import Registry
from registry.ledger import Change, Report, Suggestion
from tailorbird.errors import Unavailable
from tests import sweeps
from tuning import search
from tuning import spec as specs
from tuning.follower import Follower


@pytest.fixture
def followed(settings, raw_spec):
    """A sweep of four trials of eight epochs, its lease, and who follows it."""
    raw_spec["space"]["epochs"] = {"choice": [8]}
    spec = specs.parse(raw_spec)
    plain = [config.model_dump(mode="json") for config in spec.configs]
    with Registry(settings) as registry:
        lease = sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), plain)
        yield registry, lease, Follower(registry, "tiny-1", spec)


def enter(registry, lease, number, epoch, accuracy):
    report = Report(epoch, {"val_accuracy": accuracy})
    ledger.enter(registry, lease, [Change(number, "running"), Change(number, report=report)])


def test_what_is_new_is_seen_and_counted_once(followed):
    registry, lease, follower = followed
    assert follower.poll() == [] and follower.trained == 0
    enter(registry, lease, 1, 1, 0.75)
    assert [(one.number, one.status) for one in follower.poll()] == [(1, "running")]
    enter(registry, lease, 1, 2, 0.5)
    assert follower.poll() == [] and follower.poll() == []
    assert follower.trained == 2
    assert (follower.trials[1].metrics["val_accuracy"], follower.best().best) == (0.5, 0.75)


def test_the_figures_of_a_probe_are_seen(followed):
    registry, lease, follower = followed
    enter(registry, lease, 1, 0, 0.25)
    follower.poll()
    assert (follower.trials[1].epoch, follower.trials[1].metrics) == (0, {"val_accuracy": 0.25})


def test_what_trials_have_in_common_is_kept_once(followed):
    _, _, follower = followed
    follower.poll()
    first, second, *_ = (trial.config for trial in follower.trials.values())
    assert first["data"] is second["data"] and first["schedule"] is second["schedule"]
    assert [trial.config for trial in follower.trials.values()] == [
        config.model_dump(mode="json") for config in follower._spec.configs
    ]


def test_a_trial_takes_little_memory_of_the_driver(settings, raw_spec):
    """The most of Python's objects at a time, from the spec to the first look at all trials, for each further trial."""

    def taken(trials):
        tracemalloc.start()
        spec = specs.parse({**raw_spec, "trials": trials})
        ledger.begin(registry, f"of-{trials}", spec.plain(), search.suggest(spec, [], lambda _: None, {}), None, "ada")
        Follower(registry, f"of-{trials}", spec).poll()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    with Registry(settings) as registry:
        taken(4)  # what is imported and kept once
        few, many = taken(100), taken(300)
    assert (many - few) / 200 < 15_000


def test_what_a_driver_reports_whose_clock_is_behind_is_seen(followed, monkeypatch):
    registry, lease, follower = followed
    enter(registry, lease, 1, 1, 0.75)
    follower.poll()
    monkeypatch.setattr(schema, "now", lambda: "2020-01-01T00:00:00.000000Z")
    enter(registry, lease, 1, 2, 0.875)
    follower.poll()
    assert (follower.trained, follower.best().best) == (2, 0.875)


def test_trials_that_are_entered_later_are_seen(followed):
    registry, lease, follower = followed
    follower.poll()
    config = ledger.trials(registry, "tiny-1")[0].config
    ledger.add(registry, lease, [Suggestion(config, wave=2, group=5)], 5)
    follower.poll()
    assert follower.trials[5].wave == 2


def test_the_epochs_to_come_are_those_that_halving_leaves(followed):
    _, _, follower = followed
    follower.poll()
    assert follower.expected == 4 * 1 + 2 * 2 + 1 * 5


def test_trials_that_confirm_others_are_expected_to_train_to_their_ends(followed):
    registry, lease, follower = followed
    config = ledger.trials(registry, "tiny-1")[0].config
    again = [Suggestion({**config, "seed": seed}, wave=2, group=5, confirms=1) for seed in range(1, 10)]
    ledger.add(registry, lease, again, 5)
    follower.poll()
    assert follower.expected == 4 * 1 + 2 * 2 + 1 * 5 + 9 * 8


def test_a_change_is_told_after_an_outage_in_the_middle_of_a_look(followed, monkeypatch):
    registry, lease, follower = followed
    follower.poll()
    enter(registry, lease, 1, 1, 0.75)
    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(news, "reports", mock.Mock(side_effect=Unavailable("away")))
        follower.poll()
    assert [(one.number, one.status, one.epoch) for one in follower.poll()] == [(1, "running", 1)]
