import pytest

from registry import ledger
from registry.core import Registry
from tailorbird.errors import InvalidInput, LeaseHeld, NotFound
from tests import sweeps
from tuning import extension
from tuning import spec as specs


@pytest.fixture
def registry(settings):
    with Registry(settings) as opened:
        yield opened


@pytest.fixture
def swept(registry, raw_spec):
    """A sweep of four trials that has ended: finished, paused, stopped and failed."""
    spec = specs.parse(raw_spec)
    plain = [config.model_dump(mode="json") for config in spec.configs]
    sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), plain)
    for number, status in enumerate(("finished", "paused", "stopped", "failed"), 1):
        sweeps.set_trial(registry, "tiny-1", number, status)
    sweeps.end(registry, "tiny-1", "finished")
    return "tiny-1"


def statuses(registry):
    return [(trial.status, trial.thawed) for trial in ledger.trials(registry, "tiny-1")]


ENDED = [("finished", False), ("paused", False), ("stopped", False), ("failed", False)]


def test_more_trials_stand_in_the_spec(registry, swept):
    extension.add_trials(registry, swept, 3, 60, "ada")
    sweep = ledger.sweep(registry, swept)
    assert (sweep.spec["trials"], sweep.status) == (7, "interrupted")
    assert statuses(registry) == ENDED
    assert specs.stored(sweep.spec).trials == 7


def test_the_spec_before_extensions_is_known(registry, swept):
    before = ledger.sweep(registry, swept).spec
    assert extension.forms(before) == [before]
    for count in (3, 2):
        extension.add_trials(registry, swept, count, 60, "ada")
    extended = ledger.sweep(registry, swept).spec
    assert extension.forms(extended) == [before, {**before, "trials": 9}]


@pytest.mark.parametrize("number", [2, 3])
def test_what_was_left_behind_is_thawed(registry, swept, number):
    extension.thaw(registry, swept, number, 60, "ada")
    expected = [("paused", True) if index == number else one for index, one in enumerate(ENDED, 1)]
    assert statuses(registry) == expected
    assert ledger.sweep(registry, swept).status == "interrupted"


def test_what_failed_is_to_be_trained_again(registry, swept):
    assert extension.retry(registry, swept, 60, "ada") == 1
    assert statuses(registry) == [*ENDED[:3], ("interrupted", False)]
    with pytest.raises(InvalidInput, match="no trial of tiny-1 has failed"):
        extension.retry(registry, swept, 60, "ada")


def test_what_cannot_be_extended_is_told(registry, swept, raw_spec):
    with pytest.raises(NotFound, match="--thaw: tiny-1 has no trial 9; accepted: 1 to 4"):
        extension.thaw(registry, swept, 9, 60, "ada")
    with pytest.raises(InvalidInput, match="trial 1 is finished; accepted: one that is paused or stopped"):
        extension.thaw(registry, swept, 1, 60, "ada")
    with pytest.raises(NotFound, match="there is no sweep 'other'"):
        extension.retry(registry, "other", 60, "ada")
    del raw_spec["space"], raw_spec["trials"]
    spec = specs.parse({**raw_spec, "runs": [{}]})
    plain = [config.model_dump(mode="json") for config in spec.configs]
    sweeps.begin(registry, "listed", spec.model_dump(mode="json", exclude_none=True), plain)
    with pytest.raises(InvalidInput, match="--trials: applies only to random search and tpe"):
        extension.add_trials(registry, "listed", 1, 60, "ada")


def test_a_sweep_that_runs_is_not_extended(registry, raw_spec):
    spec = specs.parse(raw_spec)
    plain = [config.model_dump(mode="json") for config in spec.configs]
    sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), plain)
    with pytest.raises(LeaseHeld):
        extension.add_trials(registry, "tiny-1", 1, 60, "ada")
