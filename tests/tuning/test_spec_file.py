from contextlib import nullcontext
from importlib import resources
from pathlib import Path

import pytest
import yaml

from tailorbird.errors import InvalidInput
from tuning import spec as specs
from tuning import spec_file


@pytest.fixture
def written(tmp_path):
    """Writes a spec to a file, whose path it returns."""

    def write(raw) -> Path:
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump(raw))
        return path

    return write


@pytest.mark.parametrize("path", sorted((resources.files("tuning") / "specs").iterdir()), ids=lambda path: path.name)
def test_a_shipped_spec_is_valid(path):
    spec = spec_file.read(path, [])
    assert spec.configs
    assert spec.promote


def test_words_of_the_command_line_change_keys_of_space_too(raw_spec, written):
    words = ["trials=2", "run.batch_size=32", "space.model.depth={choice: [3]}", "space.optimizer.lr={choice: [1e-3]}"]
    spec = spec_file.read(written(raw_spec), words)
    assert len(spec.configs) == 2
    assert {(config.batch_size, config.model.depth, config.optimizer.lr) for config in spec.configs} == {(32, 3, 1e-3)}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scheduler": "none"}, "applies only to scheduler halving, not none"),
        ({"scheduler": "asha"}, "applies only to scheduler halving, not asha"),
    ],
)
def test_a_probe_of_another_scheduler_is_refused(raw_spec, written, changes, problem):
    with pytest.raises(InvalidInput, match=rf"^probe: {problem}$"):
        spec_file.read(written({**raw_spec, **changes, "probe": True}), [])


@pytest.mark.parametrize(
    ("schedules", "epochs", "accepted"),
    [
        (["constant"], [2], True),
        (["constant"], [1], False),
        (["constant"], [2, 3], False),  # each is the only one of its length
        (["one_cycle"], [2], False),
        (["constant", "cosine"], [2], False),  # all of a length are compared with each other, or none
    ],
)
def test_a_probe_without_effect_is_refused(raw_spec, written, schedules, epochs, accepted):
    del raw_spec["run"]["schedule"], raw_spec["trials"]
    space = {"epochs": {"choice": epochs}, "schedule.name": {"choice": schedules}}
    rates = [0.1, 0.2] if len(schedules) * len(epochs) == 1 else [0.1]
    path = written({**raw_spec, "search": "grid", "space": {**space, "optimizer.lr": {"choice": rates}}, "probe": True})
    with nullcontext() if accepted else pytest.raises(InvalidInput, match=r"^probe: applies only to trials of"):
        spec_file.read(path, [])


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        ([{"epochs": 2}, {"name": "b", "epochs": 2}], "runs.1: is runs.0 again; repeat each run by seeds"),
        ([{"name": "a", "epochs": 2}, {"name": "a", "epochs": 3}], "runs.1.name: 'a' is also the name of runs.0"),
    ],
)
def test_runs_that_could_not_be_told_apart_are_refused(raw_spec, written, runs, sentence):
    del raw_spec["space"], raw_spec["trials"]
    with pytest.raises(InvalidInput, match=sentence.replace(".", r"\.")):
        spec_file.read(written({**raw_spec, "runs": runs}), [])


def test_runs_of_one_name_may_differ_in_their_seeds(raw_spec, written):
    del raw_spec["space"], raw_spec["trials"]
    spec = spec_file.read(written({**raw_spec, "runs": [{"name": "a"}, {"name": "a", "seed": 1}]}), [])
    assert [config.seed for config in spec.configs] == [0, 1]


def test_a_space_that_is_none_is_refused_with_an_assignment_too(raw_spec, written):
    with pytest.raises(InvalidInput, match=r"^space: "):
        spec_file.read(written({**raw_spec, "space": [1]}), ["space.epochs={choice: [1]}"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"search": "grid"}, "search: applies only to space"),
        ({"seed": 1}, r"seed: applies only to random search and tpe; the seed of each run is run\.seed"),
        ({"reference": {"test_accuracy": 97}}, r"reference\.test_accuracy: must be from 0 to 1, as 0.97, not 97"),
        ({"runs": [{"reference": {"fit_accuracy": -1}}]}, r"runs\.0\.reference\.fit_accuracy: must be from 0 to 1"),
        ({"runs": [{}, {"seed": 1}], "seeds": 2}, r"runs\.1: is runs\.0 again"),
    ],
)
def test_what_has_no_effect_or_no_sense_is_refused_of_a_file_and_read_of_a_ledger(raw_spec, changes, sentence, written):
    del raw_spec["space"], raw_spec["trials"]
    raw_spec |= {"runs": [{"epochs": 2}], **changes}
    with pytest.raises(InvalidInput, match=sentence):
        spec_file.read(written(raw_spec), [])
    assert specs.parse(raw_spec).configs


@pytest.mark.parametrize("where", ["runs.1", "space"])
def test_precision_is_left_to_the_processor_for_all_trials_or_none(raw_spec, where, written):
    if where == "runs.1":
        del raw_spec["space"], raw_spec["trials"]
        raw_spec["runs"] = [{"precision": "bf16"}, {"precision": "auto"}]
    else:
        raw_spec["space"]["precision"] = {"choice": ["bf16", "auto"]}
    with pytest.raises(InvalidInput, match=rf"^{where}\.precision: auto is decided once for all trials, in run"):
        spec_file.read(written(raw_spec), [])


def test_a_seed_is_no_hyperparameter(raw_spec, written):
    with pytest.raises(InvalidInput, match=r"^space\.seed: is not a hyperparameter; repeat each point"):
        spec_file.read(written(raw_spec), ["space.seed={choice: [0, 1]}"])
