import copy

import pytest

from tailorbird.errors import InvalidInput
from training.config import assign
from tuning import spec as specs


def test_trials_are_whole_configs_of_the_fixed_part_and_the_point(raw_spec):
    spec = specs.parse(raw_spec)
    assert len(spec.configs) == 4
    for config in spec.configs:
        assert config.data.name == "digits"
        assert config.batch_size == 64
        assert config.model.depth in (1, 2)
        assert 1e-3 <= config.optimizer.lr <= 1e-2
        assert config.threads == 1
    assert len({config.optimizer.lr for config in spec.configs}) == 4


def test_the_same_spec_gives_the_same_trials(raw_spec):
    assert specs.parse(raw_spec).configs == specs.parse(copy.deepcopy(raw_spec)).configs
    assert specs.parse(raw_spec).configs != specs.parse({**raw_spec, "seed": 1}).configs


PRETRAINED = {"family": "pretrained", "backbone": "resnet18"}


@pytest.mark.parametrize(
    ("parts", "size"),
    [
        ({"run": {"model": PRETRAINED}, "space": {"optimizer.lr": {"choice": [0.1]}}}, 224),
        ({"space": {"model.family": {"choice": ["linear", "cnn"]}}}, None),
        ({"space": None, "trials": None, "runs": [{"model": {"family": "cnn"}}, {"model": PRETRAINED}]}, 224),
    ],
)
def test_a_sweep_over_a_pretrained_backbone_has_a_size_of_images(raw_spec, parts, size):
    raw_spec = raw_spec | {"data": {"name": "images", "path": "photos"}, "run": {}} | parts
    spec = specs.parse({key: value for key, value in raw_spec.items() if value is not None})
    assert spec.data.size == size
    assert {config.data for config in spec.configs} == {spec.data}


def test_runs_are_merged_over_the_fixed_part(raw_spec):
    del raw_spec["space"], raw_spec["trials"]
    raw_spec["runs"] = [{"model": {"width": 8}}, {"model": {"family": "linear"}, "epochs": 2}]
    spec = specs.parse(raw_spec)
    assert [config.model.family for config in spec.configs] == ["mlp", "linear"]
    assert spec.configs[0].model.width == 8
    assert spec.configs[1].epochs == 2
    assert spec.varied == {"model.width": "width", "model.family": "family", "epochs": "epochs"}


def test_a_grid_lays_out_every_combination(raw_spec):
    del raw_spec["trials"]
    raw_spec |= {"search": "grid"}
    raw_spec["space"]["optimizer.lr"] = {"choice": [1e-3, 1e-2]}
    assert len(specs.parse(raw_spec).configs) == 16


def test_short_names_of_what_varies_are_kept_apart(raw_spec):
    raw_spec["run"]["schedule"] = {"name": "plateau"}
    for key, values in {
        "optimizer.name": ["adam", "sgd"],
        "schedule.patience": [2, 3],
        "early_stopping.patience": [5],
    }.items():
        raw_spec["space"][key] = {"choice": values}
    names = specs.parse(raw_spec).varied
    assert names["optimizer.name"] == "optimizer" and names["model.depth"] == "depth"
    assert names["schedule.patience"] == "schedule.patience"
    assert names["early_stopping.patience"] == "early_stopping.patience"


def test_what_the_ledger_keeps_reads_back_as_the_same_spec(raw_spec):
    spec = specs.parse(raw_spec)
    again = specs.parse(spec.model_dump(mode="json", exclude_none=True))
    assert again == spec
    assert again.configs == spec.configs


@pytest.mark.parametrize(
    ("path", "value", "field", "sentence"),
    [
        ("name", "../tiny", "name", "is not a name"),
        ("data.name", "imagenet", "data.name", "digits, digits_multilabel, fashion_mnist, iris, mnist"),
        ("data.validation", -1, "data.validation", "a count of images, or a fraction below 1"),
        ("data.holdout", 1.5, "data.holdout", "a count of images, or a fraction below 1"),
        ("run.model.family", "transformer", "run.model.family", "'linear', 'mlp', 'cnn'"),
        ("run.optimizer.lr", 0, None, ""),
        ("run.data", {}, "run.data", "top level of the spec"),
        ("run.typo", 1, "run.typo", "is not a known key"),
        ("run.batch_size", "64", "run.batch_size", "integer"),
        ("trials", 0, "trials", "greater than or equal to 1"),
        ("trials", 10**11, "trials", "less than or equal to 100000"),
        ("run.epochs", 3, "run.epochs", "is in space too"),
        ("run.optimizer", {"lr": 0.1}, "run.optimizer.lr", "is in space too"),
        ("trials", "many", "trials", "integer"),
        ("trials", None, "trials", "is required"),
        ("search", "annealing", "search", "'random', 'grid' or 'tpe'"),
        ("scheduler", "fair", "scheduler", "'halving', 'asha' or 'none'"),
        ("seed", -1, "seed", "greater than or equal to 0"),
        ("objective", {"metric": "f1"}, "objective.metric", "val_accuracy"),
        ("objective", {"metric": "val_loss", "mode": "max"}, "objective", "must be 'min'"),
        ("promote", {"model": "Über"}, "promote.model", "is not a name"),
        ("promote", {"model": "tiny", "alias": "a b"}, "promote.alias", "is not a name"),
        ("promote", {"model": "tiny", "alias": "2"}, "promote.alias", "could be mistaken for a version"),
        ("resources", {"cpus": 0}, "resources.cpus", "greater than 0"),
        ("typo", 1, "typo", "is not a known key"),
    ],
)
def test_a_wrong_key_is_named(raw_spec, path, value, field, sentence):
    with_lr_in_run = path == "run.optimizer.lr"
    if with_lr_in_run:
        del raw_spec["space"]["optimizer.lr"]
        field, sentence = "run.optimizer.lr", "greater than 0"
    with pytest.raises(InvalidInput) as caught:
        specs.parse(assign(raw_spec, path, value))
    assert sentence in str(caught.value)
    assert caught.value.field == (field or "value")


@pytest.mark.parametrize(
    ("key", "domain", "sentence"),
    [
        ("optimizer.lr", {"uniform": [0, 1]}, "greater than 0"),
        ("optimizer.lr", {"choice": [1e-3, -1]}, "greater than 0"),
        ("model.depth", {"choice": [0, 1]}, "greater than or equal to 1"),
        ("model.dropout", {"uniform": [0, 1]}, "less than 1"),
        ("model.width", {"choice": []}, "at least 1 item"),
        ("model.width", {"uniform": [8, 64]}, "integer"),
        ("model.typo", {"choice": [1]}, "is not a known key"),
        ("epochs", {"choice": [1, "two"]}, "integer"),
        ("epochs", [1, 2], "keys with values"),
        ("data.name", {"choice": ["digits"]}, "share their data"),
    ],
)
def test_a_wrong_domain_is_named_with_its_key(raw_spec, key, domain, sentence):
    raw_spec["space"][key] = domain
    with pytest.raises(InvalidInput, match=sentence) as caught:
        specs.parse(raw_spec)
    assert caught.value.field.startswith(f"space.{key}")


def test_a_grid_over_a_range_is_refused(raw_spec):
    del raw_spec["trials"]
    with pytest.raises(InvalidInput, match=r"space\.optimizer\.lr: a grid needs values that can be counted"):
        specs.parse({**raw_spec, "search": "grid"})


def test_a_run_that_is_not_valid_is_named(raw_spec):
    del raw_spec["space"], raw_spec["trials"]
    with pytest.raises(InvalidInput, match=r"runs\.1: epochs: .*greater than or equal to 1"):
        specs.parse({**raw_spec, "runs": [{"epochs": 1}, {"epochs": 0}]})


def test_either_space_or_runs(raw_spec):
    with pytest.raises(InvalidInput, match="space: is required, or runs"):
        specs.parse({**raw_spec, "runs": [{}]})
    del raw_spec["space"]
    with pytest.raises(InvalidInput, match="space: is required, or runs"):
        specs.parse(raw_spec)


def test_promotion_needs_images_to_judge_on(raw_spec):
    raw_spec["data"]["holdout"] = 0
    with pytest.raises(InvalidInput, match=r"data\.holdout above 0"):
        specs.parse(raw_spec)
    del raw_spec["promote"]
    assert specs.parse(raw_spec)


@pytest.mark.parametrize("changes", [{"trials": 100_000, "seeds": 2}, {"trials": 101, "seeds": 1_000}])
def test_more_runs_than_a_sweep_may_have_are_refused(raw_spec, changes):
    with pytest.raises(InvalidInput, match=r"^seeds: .* configs; accepted: 100,000 runs in all$"):
        specs.parse({**raw_spec, **changes})


def test_a_grid_without_end_is_refused(raw_spec):
    del raw_spec["trials"]
    raw_spec["space"] = {f"model.{n}": {"choice": list(range(100))} for n in range(6)}
    with pytest.raises(InvalidInput, match="space: a grid of more than 100,000 points"):
        specs.parse({**raw_spec, "search": "grid"})
    raw_spec["space"] = {"model.width": {"choice": list(range(8, 208))}}
    with pytest.raises(InvalidInput, match="space: a grid of more than 100,000 points, times seeds"):
        specs.parse({**raw_spec, "search": "grid", "seeds": 501})


def listed(**changes):
    runs = [{"name": "narrow", "reference": {"test_accuracy": 0.9}, "model": {"width": 8}}, {"model": {"width": 16}}]
    return specs.parse(
        {"name": "study", "data": {"name": "digits"}, "run": {"model": {"family": "mlp"}}, "runs": runs, **changes}
    )


def test_runs_may_have_names_and_figures_beside_them():
    made = listed()
    assert [config.model.width for config in made.configs] == [8, 16] and list(made.varied) == ["model.width"]
    assert made.listed(1).name == "narrow" and made.listed(1).reference == {"test_accuracy": 0.9}
    assert made.listed(2).name is None and made.listed(2).reference is None


def test_each_config_is_run_with_so_many_seeds():
    made = listed(seeds=3, run={"model": {"family": "mlp"}, "seed": 5})
    assert [(config.model.width, config.seed) for config in made.configs] == [
        (8, 5),
        (8, 6),
        (8, 7),
        (16, 5),
        (16, 6),
        (16, 7),
    ]
    assert [made.listed(number).name for number in range(1, 7)] == ["narrow"] * 3 + [None] * 3


def test_a_spec_that_was_kept_is_the_same():
    made = listed(seeds=2, source="notes")
    assert specs.parse(made.model_dump(mode="json", exclude_none=True)) == made


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"runs": [{"model": {"widht": 8}}]}, "runs.0: model.widht"),
        ({"runs": [{"reference": {"test_acuracy": 0.9}}]}, "runs.0.reference"),
        ({"runs": [{"name": 5}]}, "runs.0.name"),
        ({"seeds": 0}, "seeds"),
    ],
)
def test_a_wrong_key_of_a_listed_run_is_named(changes, field):
    with pytest.raises(InvalidInput) as refused:
        listed(**changes)
    assert refused.value.field.startswith(field)


def test_a_point_that_is_drawn_again_has_other_seeds(raw_spec):
    spec = specs.parse({**raw_spec, "space": {"epochs": {"choice": [3, 6]}}, "trials": 5, "seeds": 2})
    pairs = [(config.epochs, config.seed) for config in spec.configs]
    assert sorted(pairs[:8]) == [(epochs, seed) for epochs in (3, 6) for seed in range(4)]
    assert pairs[8][1] == 4


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        ({"model.family": "mlp"}, r"space\.model\.dropout\.when: 'model\.family' must be an earlier key"),
        ({"model.depth": 7}, r"space\.model\.dropout\.when\.model\.depth: is never 7; accepted: \[1, 2\]"),
        ({"measure_every": 4}, r"\.measure_every: is never 4; accepted: 1 to 5, in steps of 2$"),
    ],
)
def test_a_condition_that_never_holds_is_refused(raw_spec, when, sentence):
    raw_spec["space"]["measure_every"] = {"integer": [1, 6], "step": 2}
    raw_spec["space"]["model.dropout"] = {"uniform": [0.0, 0.5], "when": when}
    with pytest.raises(InvalidInput, match=sentence):
        specs.parse(raw_spec)


def test_trials_without_gpus_are_those_of_a_cpu(raw_spec):
    """Else the precision of a trial would follow from a GPU of the driver that the trial does not get."""
    assert {config.device for config in specs.parse(raw_spec).configs} == {"auto"}
    raw_spec["resources"] = {"gpus": 0}
    assert {config.device for config in specs.parse(raw_spec).configs} == {"cpu"}


def test_a_result_that_depends_on_timing_names_why(raw_spec):
    assert specs.parse(raw_spec).timed == []
    limited = specs.parse({**raw_spec, "scheduler": "asha", "limits": {"minutes": 3, "epoch_minutes": 1}})
    assert limited.timed == ["limits.minutes", "scheduler asha"]


def test_the_scheduler_follows_from_what_is_searched(raw_spec):
    assert (specs.parse(raw_spec).stopping, specs.parse(raw_spec).probe) == ("halving", False)
    assert specs.parse({**raw_spec, "scheduler": "asha"}).stopping == "asha"
    unmeasured = {**raw_spec, "data": {"name": "digits", "validation": 0, "holdout": 0.2}}
    del unmeasured["promote"]
    assert specs.parse(unmeasured).stopping == "none"
    del raw_spec["space"], raw_spec["trials"]
    assert specs.parse({**raw_spec, "runs": [{}]}).stopping == "none"


@pytest.mark.parametrize(("confirm", "most"), [(None, 4), ({"top": 3, "seeds": 3}, 9), ({"top": 2, "seeds": 1}, 4)])
def test_as_many_workers_have_something_to_do_as_trials_are_searched_or_confirm_others(raw_spec, confirm, most):
    assert specs.parse({**raw_spec, "confirm": confirm}).most_at_once == most


def test_of_tpe_the_first_wave_is_known_beforehand(raw_spec):
    spec = specs.parse({**raw_spec, "search": "tpe", "trials": 40, "seeds": 2})
    assert (spec.total, spec.wave, len(spec.configs)) == (80, 10, 20)


def test_a_spec_of_the_ledger_is_read_without_its_configs(raw_spec):
    raw_spec["run"]["renamed"] = True
    assert specs.stored(raw_spec).name == "tiny"
    with pytest.raises(InvalidInput, match="renamed"):
        specs.parse(raw_spec)


def test_of_a_spec_of_the_ledger_keys_that_another_release_had_are_passed_over(raw_spec):
    spec = specs.stored({**raw_spec, "limits": {"minutes": 5}})
    older = {**raw_spec, "old": 1, "limits": {"minutes": 5, "old": {"a": 1}}, "data": {**raw_spec["data"], "old": 1}}
    older["space"] = {key: {**domain, "old": 1} for key, domain in raw_spec["space"].items()}
    before = copy.deepcopy(older)
    assert specs.stored(older) == spec
    assert older == before
    with pytest.raises(InvalidInput, match=r"^trials: "):
        specs.stored({**older, "trials": 0})
    del older["space"], older["trials"]
    assert specs.stored({**older, "runs": [{"epochs": 2}]}).runs[0].run == {"epochs": 2}
    for key, unknown in (("old", 1), ("limits", {"old": 1}), ("data", {**raw_spec["data"], "old": 1})):
        with pytest.raises(InvalidInput, match="old"):
            specs.parse({**raw_spec, key: unknown})


@pytest.mark.parametrize(
    "search",
    [
        {"trials": 5},
        {"trials": 20, "search": "tpe"},
        {
            "search": "grid",
            "space": {"epochs": {"choice": [3, 6]}, "model.depth": {"choice": [1, 2], "when": {"epochs": 6}}},
        },
        {"runs": [{"epochs": 3}, {"epochs": 6}]},
    ],
    ids=["random", "tpe", "grid", "runs"],
)
def test_trials_are_counted_though_their_configs_are_of_another_release(raw_spec, search):
    kept = ("name", "data", "run", "promote") if "runs" in search else ("name", "data", "run", "space", "promote")
    plain = {**{key: raw_spec[key] for key in kept}, **search, "seeds": 2}
    spec = specs.parse(plain)
    assert spec.total == (40 if spec.search == "tpe" else len(spec.configs))
    older = specs.stored({**plain, "run": {**plain["run"], "momentum_of_old": 0.9}})
    assert older.total == spec.total
    with pytest.raises(InvalidInput, match="momentum_of_old"):
        _ = older.configs
