import pytest
import yaml

from benchmarks import studies, study
from registry import schema
from registry.core import Registry
from registry.ledger import Report
from tailorbird.settings import Settings
from tests import sweeps
from tuning import spec as specs
from tuning import spec_file

GIVEN = {
    "name": "tiny",
    "data": {"name": "digits", "validation": 0, "holdout": 0},
    "run": {"model": {"family": "mlp"}, "epochs": 3},
    "runs": [
        {"name": "narrow", "model": {"width": [8]}, "reference": {"test_accuracy": 0.5}},
        {"name": "wide", "model": {"width": [16]}},
    ],
}
GRID = {**{key: value for key, value in GIVEN.items() if key != "runs"}, "search": "grid"}
GRID["space"] = {"model.width": {"choice": [8, 16]}, "optimizer.lr": {"choice": [0.1, 0.01]}}


@pytest.fixture
def own_settings(tmp_path):
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def read(tmp_path):
    def write(given=GIVEN, *, quick=False):
        path = tmp_path / "tiny.yaml"
        path.write_text("# What it shows.\n" + yaml.safe_dump(given))
        return study.read(path, quick=quick)

    return write


@pytest.fixture
def enter(own_settings):
    """Enters a sweep whose trials end with these accuracies; None fails."""

    def sweep(given, *accuracies, sweep="tiny-1"):
        spec = specs.parse(given)
        with Registry(own_settings) as registry:
            configs = [config.model_dump(mode="json") for config in spec.configs]
            sweeps.begin(registry, sweep, spec.model_dump(mode="json", exclude_none=True), configs, None, "ada")
            for number, accuracy in enumerate(accuracies, 1):
                sweeps.report(registry, sweep, number, Report(1, {"test_accuracy": accuracy or 0.0}))
                sweeps.set_trial(registry, sweep, number, "failed" if accuracy is None else "finished")
            sweeps.end(registry, sweep, "finished" if None not in accuracies else "interrupted")

    return sweep


def named(study, missing):
    return [(study.spec.listed(number).name, loaded.seed) for number, loaded in missing]


def test_of_a_study_that_was_never_run_everything_is_missing(read, own_settings):
    loaded = read()
    assert loaded.about == "What it shows."
    assert loaded.held(own_settings) == []
    assert loaded.missing([]) == loaded.wanted()
    assert named(loaded, loaded.wanted()) == [("narrow", 0), ("wide", 0)]


def test_what_is_finished_is_not_missing(read, own_settings, enter):
    loaded = read()
    enter(GIVEN, 0.6, 0.6)
    assert loaded.missing(loaded.held(own_settings)) == []


def test_what_was_trained_in_the_precision_that_its_machine_chose_is_not_missing(read, own_settings, enter):
    loaded = read()
    assert {config.precision for _, config in loaded.wanted()} == {"auto"}
    enter({**GIVEN, "run": {**GIVEN["run"], "precision": "bf16"}}, 0.4, 0.6)
    missing = loaded.missing(loaded.held(own_settings))
    assert named(loaded, missing) == [("narrow", 1), ("narrow", 2)]
    enter({**loaded.part(missing), "run": {**GIVEN["run"], "precision": "fp32"}}, 0.6, 0.6, sweep="tiny-2")
    assert loaded.missing(loaded.held(own_settings)) == []
    fixed = read({**GIVEN, "run": {**GIVEN["run"], "precision": "bf16"}})
    assert named(fixed, fixed.missing(fixed.held(own_settings))) == [("narrow", 1), ("narrow", 2)]


def test_what_an_older_release_finished_is_not_missing_unless_its_config_is_accepted_no_more(read, own_settings, enter):
    loaded = read()
    enter(GIVEN, 0.6, 0.6)
    [held, other] = loaded.held(own_settings)
    older = {key: value for key, value in held.trial.config.items() if key != "compile"}
    dropped = other.trial.config | {"rho": 0.9}
    with Registry(own_settings) as registry, registry.atomic() as connection:
        for trial, config in ((1, older), (2, dropped)):
            chosen = schema.trials.c.number == trial
            connection.execute(schema.trials.update().where(chosen).values(config=config))
    assert named(loaded, loaded.missing(loaded.held(own_settings))) == [("wide", 0)]


def test_the_best_run_is_held_against_the_figure_of_the_whole_study_once_all_are_there(read, own_settings, enter):
    loaded = read(GIVEN | {"reference": {"test_accuracy": 0.7}})
    enter(GIVEN, 0.6, None)
    assert named(loaded, loaded.missing(loaded.held(own_settings))) == [("wide", 0)]
    enter(GIVEN, 0.6, 0.65, sweep="tiny-2")
    held = loaded.held(own_settings)
    assert named(loaded, loaded.missing(held)) == [("wide", 1), ("wide", 2)]
    assert [row.lags for row in loaded.judged(loaded.rows(held))] == [False, True]
    assert loaded.rows(held)[1].reference == {}


def test_what_failed_or_never_ran_is_missing(read, own_settings, enter):
    loaded = read()
    enter(GIVEN, None, 0.6)
    assert named(loaded, loaded.missing(loaded.held(own_settings))) == [("narrow", 0)]
    enter(GIVEN, 0.6, sweep="tiny-2")  # interrupted before the second trial
    assert loaded.missing(loaded.held(own_settings)) == []


def test_a_run_that_is_behind_gets_more_seeds(read, own_settings, enter):
    loaded = read()
    enter(GIVEN, 0.4, 0.4)
    missing = loaded.missing(loaded.held(own_settings))
    assert named(loaded, missing) == [("narrow", 1), ("narrow", 2)]
    enter(loaded.part(missing), 0.3, 0.5, sweep="tiny-2")
    assert loaded.missing(loaded.held(own_settings)) == []
    narrow, _ = loaded.rows(loaded.held(own_settings))
    assert [trial.config["seed"] for trial in narrow.trials] == [0, 1, 2]
    assert narrow.figures["test_accuracy"].mean == pytest.approx(0.4)


def test_another_spec_is_another_study(read, own_settings, enter):
    loaded = read()
    enter({**GIVEN, "run": {**GIVEN["run"], "epochs": 4}}, 0.6, 0.6)
    enter({**GIVEN, "name": "other"}, 0.6, 0.6, sweep="other-1")
    assert loaded.missing(loaded.held(own_settings)) == loaded.wanted()


def test_trials_that_were_to_be_promoted_were_not_measured_on_test(read, own_settings, enter):
    holding = {**GIVEN, "data": {"name": "digits"}}
    loaded = read(holding)
    enter({**holding, "promote": {"model": "tiny"}}, 0.6, 0.6)
    assert loaded.missing(loaded.held(own_settings)) == loaded.wanted()


def test_the_newest_of_two_trials_counts(read, own_settings, enter):
    loaded = read()
    enter(GIVEN, 0.6, 0.6)
    enter(GIVEN, 0.7, 0.6, sweep="tiny-2")
    assert [held.sweep.id for held in loaded.held(own_settings)] == ["tiny-2", "tiny-2"]
    assert loaded.rows(loaded.held(own_settings))[0].figures["test_accuracy"].mean == 0.7


@pytest.mark.parametrize("given", [GIVEN, GRID])
def test_a_part_of_a_study_has_the_same_configs(read, given):
    loaded = read(given)
    some = loaded.wanted()[1:]
    spec = specs.parse(loaded.part(some))
    assert spec.configs == [config for _, config in some]
    assert [spec.listed(n).name for n in range(1, len(some) + 1)] == [loaded.spec.listed(n).name for n, _ in some]


def test_a_quick_study_has_few_epochs_and_few_images(read):
    large = {**GIVEN, "data": {**GIVEN["data"], "name": "mnist"}}
    large["runs"] = [{"name": "long", "epochs": 50}, {"name": "usual", "seed": 1}]
    loaded = read(large, quick=True)
    assert {config.epochs for config in loaded.spec.configs} == {1}
    assert loaded.spec.data.holdout == study.LEFT_OUT
    small = read({**GIVEN, "run": {**GIVEN["run"], "epochs": 10_000, "batch_size": "full"}}, quick=True)
    assert {config.epochs for config in small.spec.configs} == {100}
    assert small.spec.data.holdout == 0
    assert {config.epochs for config in read(quick=True).spec.configs} == {3}  # no more than there were


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("path", sorted(studies.STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_sweep_takes_what_a_round_gives_it_of_each_study(tmp_path, path, quick):
    loaded = study.read(path, quick=quick)
    part = tmp_path / path.name
    part.write_text(yaml.safe_dump(loaded.part(loaded.wanted())))
    assert spec_file.read(part, []).configs == loaded.spec.configs


def test_a_quick_study_tries_no_more_seeds(read, own_settings, enter):
    loaded = read(quick=True)
    enter(GIVEN, 0.4, 0.4)
    assert loaded.missing(loaded.held(own_settings)) == []
