import math

import pytest

from registry.core import Registry
from registry.ledger import Report
from tests import sweeps
from tuning import spec as specs
from tuning.report import results


@pytest.fixture
def spec(study):
    return specs.parse(study)


@pytest.fixture
def rows(spec, trial):
    """Of trials with a test accuracy each, in the order of the spec."""

    def make(*accuracies, **more):
        trials = [
            trial(number, config, {"train_loss": 0.5, "test_accuracy": accuracy, **more})
            for number, (config, accuracy) in enumerate(zip(spec.configs, accuracies, strict=False), 1)
        ]
        return results.rows(spec, [(trial, spec.listed(trial.number)) for trial in trials])

    return make


def test_trials_that_differ_in_their_seed_alone_are_one_row(rows):
    narrow, wide = rows(0.5, 0.7, 0.9, 0.9)
    assert (narrow.name, wide.name) == ("narrow", "wide")
    assert [trial.number for trial in narrow.trials] == [1, 2]
    assert narrow.figures["test_accuracy"].mean == pytest.approx(0.6)
    assert narrow.figures["test_accuracy"].spread == pytest.approx(math.sqrt(0.02))
    assert wide.figures["test_accuracy"].spread == 0


def test_one_trial_alone_has_no_spread(rows):
    assert rows(0.5)[0].figures["test_accuracy"] == results.Figure(0.5, None)


def test_a_row_has_the_figures_that_all_of_its_trials_have(spec, trial):
    first, second = (
        trial(1, spec.configs[0], {"test_accuracy": 0.5, "test_nll": 1.0}),
        trial(2, spec.configs[1], {"test_accuracy": 0.5}),
    )
    (row,) = results.rows(spec, [(one, spec.listed(one.number)) for one in (first, second)])
    assert "test_accuracy" in row.figures
    assert "test_nll" not in row.figures


def test_figures_are_those_of_the_kept_epoch_and_of_the_end(spec, trial):
    epochs = [
        {"val_accuracy": 0.8, "train_loss": 0.5, "seconds": 2.0},
        {"val_accuracy": 0.7, "train_loss": 0.1, "seconds": 2.0, "test_accuracy": 0.6, "fit_accuracy": 0.9},
    ]
    result = results.figures(trial(1, spec.configs[0], *epochs, kept=0))
    assert (result["val_accuracy"], result["train_loss"], result["test_accuracy"]) == (0.8, 0.5, 0.6)
    assert result["gap"] == pytest.approx(0.3)
    assert result["seconds"] == 4.0
    assert result["accuracy_per_second"] == pytest.approx(0.15)


def test_where_no_test_split_was_measured_accuracy_per_second_is_that_of_validation(spec, trial):
    result = results.figures(trial(1, spec.configs[0], {"val_accuracy": 0.8, "seconds": 4.0}))
    assert result["accuracy_per_second"] == pytest.approx(0.2)
    assert "gap" not in result


def test_what_is_no_number_is_not_there(spec, trial):
    assert "train_loss" not in results.figures(trial(1, spec.configs[0], {"train_loss": math.nan}))


@pytest.mark.parametrize(
    ("metric", "ours", "theirs", "behind"),
    [
        ("test_accuracy", 0.88, 0.9, 0.02),
        ("test_accuracy", 0.92, 0.9, -0.02),
        ("test_accuracy", 0.89926, 0.8993, 0),  # notes tell four digits
        ("test_accuracy", 0.89924, 0.8993, 0.0001),
        ("train_loss", 0.5, 0.4, 0.1),
        ("train_loss", 0.3, 0.4, -0.1),
    ],
)
def test_how_far_a_figure_is_behind(metric, ours, theirs, behind):
    assert results.behind(metric, ours, theirs) == pytest.approx(behind, abs=1e-12)


def test_a_row_lags_where_it_is_behind_by_more_than_its_spread(rows):
    within, beyond = rows(0.4, 0.59, 0.9, 0.91)
    assert within.behind("test_accuracy") == pytest.approx(0.005)
    assert not within.lags
    assert beyond.behind("test_accuracy") == pytest.approx(0.085)
    assert beyond.lags
    assert rows(0.49)[0].lags  # of one seed there is no spread


def test_a_reference_of_what_was_not_measured_is_not_judged(spec, trial):
    made = trial(1, spec.configs[0], {"train_loss": 0.5})
    (row,) = results.rows(spec, [(made, spec.listed(1))])
    assert row.behind("test_accuracy") is None
    assert not row.lags


def test_runs_without_names_are_called_by_what_varies(study, trial):
    spec = specs.parse({**study, "runs": [{"epochs": 2}, {"epochs": 3, "model": {"width": [16]}}], "seeds": 1})
    trials = [trial(number, config, {"train_loss": 1.0}) for number, config in enumerate(spec.configs, 1)]
    first, second = results.rows(spec, [(trial, spec.listed(trial.number)) for trial in trials])
    assert (first.name, second.name) == ("epochs 2, width [8]", "epochs 3, width [16]")


def test_trials_of_a_search_are_called_by_their_numbers(raw_spec, trial):
    spec = specs.parse({**raw_spec, "seeds": 2, "trials": 2})
    trials = [trial(number, config, {"val_accuracy": 0.5}) for number, config in enumerate(spec.configs, 1)]
    made = results.rows(spec, [(trial, spec.listed(trial.number)) for trial in trials])
    assert [row.name for row in made] == ["trials 1, 2", "trials 3, 4"]


def test_the_best_comes_first(spec, rows):
    chosen = rows(0.5, 0.5, 0.9, 0.9, val_accuracy=0.5)
    assert [row.name for row in results.best(spec, chosen)] == ["narrow", "wide"]  # equal by what is chosen by
    unchosen = rows(0.5, 0.5, 0.9, 0.9)
    assert [row.name for row in results.best(spec, unchosen)] == ["wide", "narrow"]


def test_of_losses_the_least_is_best(study, trial):
    spec = specs.parse({**study, "objective": {"metric": "val_loss", "mode": "min"}, "seeds": 1})
    trials = [trial(number, spec.configs[number - 1], {"val_loss": loss}) for number, loss in ((1, 0.9), (2, 0.1))]
    rows = results.rows(spec, [(trial, spec.listed(trial.number)) for trial in trials])
    assert [row.name for row in results.best(spec, rows)] == ["wide", "narrow"]


def test_a_sweep_is_read_with_what_went_wrong(settings, study):
    spec = specs.parse(study)
    with Registry(settings) as registry:
        configs = [config.model_dump(mode="json") for config in spec.configs]
        sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), configs, None, "ada")
        for number in (1, 2):
            sweeps.report(registry, "tiny-1", number, Report(1, {"test_accuracy": 0.5}))
        sweeps.set_trial(registry, "tiny-1", 1, "finished")
        sweeps.set_trial(registry, "tiny-1", 2, "failed", "the loss is no number")
        sweeps.set_trial(registry, "tiny-1", 3, "finished")  # without a report there is nothing to count
        result = results.read(registry, "tiny-1")
    assert [trial.number for row in result.rows for trial in row.trials] == [1]
    assert [other.number for other in result.others] == [2, 3, 4]
    record = result.record()
    assert record["rows"][0]["figures"]["test_accuracy"] == {"mean": 0.5, "spread": None}
    assert record["rows"][0]["behind"] == {"test_accuracy": 0}
    assert record["rows"][0]["seeds"] == [0]
    assert record["others"][0] == {"trial": 2, "status": "failed", "problem": "the loss is no number"}
