from dataclasses import replace

import pytest

from registry.ledger import Report, Trial
from tuning import confirmation, finalists
from tuning import spec as specs
from tuning.outcome import rank


@pytest.fixture
def spec(raw_spec):
    return specs.parse({**raw_spec, "confirm": {"top": 2, "seeds": 2}})


def finished(number, config, *scores, confirms=None):
    """A trial whose weights and running means have these scores."""
    reports = [
        Report(epoch, {"val_accuracy": own, "mean_val_accuracy": mean}, "weights")
        for epoch, (own, mean) in enumerate(scores, 1)
    ]
    return Trial(number, config.model_dump(mode="json"), "finished", reports=reports, confirms=confirms)


def test_the_configs_to_confirm_are_the_best_by_the_weights_that_would_be_registered(spec):
    scores = [(0.5, 0.9), (0.6, 0.6), (0.4, 0.4), (0.7, 0.5)]
    trials = [finished(number, spec.configs[number - 1], score) for number, score in enumerate(scores, 1)]
    leaders = confirmation.leaders(spec, trials)
    assert [leader.trial.number for leader in leaders] == [4, 2]
    assert leaders[0].trial is rank(trials, spec.objective)[0].trial


def confirmed(spec, failed):
    """Two configs, of which the first is the better, and two runs that confirm each, some of which failed."""
    scores = {1: 0.8, 2: 0.7, 3: 0.9, 4: 0.8, 5: 0.6, 6: 0.7}
    first, second, *_ = spec.configs
    configs, of = [first, second, first, first, second, second], [None, None, 1, 1, 2, 2]
    trials = []
    for number, config, confirms in zip(scores, configs, of, strict=True):
        seeded = config.model_copy(update={"seed": number})
        trial = finished(number, seeded, (scores[number], scores[number]), confirms=confirms)
        trials.append(replace(trial, status="failed") if number in failed else trial)
    return rank(trials, spec.objective)


@pytest.mark.parametrize(
    ("failed", "taken", "means"),
    [
        ((), 3, "0.8500 (trial 1), 0.6500 (trial 2)"),
        ((4,), 6, "0.6500 (trial 2), 0.9000 (trial 1, 1 of 2 runs)"),
        ((3, 4), 6, "0.6500 (trial 2)"),
        ((4, 5), 3, "0.9000 (trial 1, 1 of 2 runs), 0.7000 (trial 2, 1 of 2 runs)"),
    ],
)
def test_a_config_of_which_a_confirming_run_failed_comes_after_those_of_which_none_did(spec, failed, taken, means):
    choice = finalists._confirmed(confirmed(spec, failed), spec)
    assert choice.taken.trial.number == taken
    assert choice.reason.startswith(f"by the mean val_accuracy of other seeds: {means}; chose trial ")


def test_without_any_confirming_run_the_choice_is_that_of_a_sweep_that_confirms_nothing(spec):
    assert finalists._confirmed(confirmed(spec, (3, 4, 5, 6)), spec) is None
