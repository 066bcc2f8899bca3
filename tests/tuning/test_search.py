import pytest

from registry.ledger import Report, Trial
from tailorbird.errors import InvalidInput
from tuning import finalists, search
from tuning import spec as specs
from tuning.outcome import rank


@pytest.fixture
def spec(raw_spec):
    del raw_spec["promote"]
    raw_spec["run"] = {"epochs": 4}
    raw_spec["space"] = {
        "model.family": {"choice": ["mlp", "linear"]},
        "model.width": {"choice": [[8], [8, 8], 16], "when": {"model.family": "mlp"}},
        "model.dropout": {"uniform": [0.0, 0.5], "step": 0.1, "when": {"model.family": "mlp"}},
        "optimizer.lr": {"loguniform": [1e-3, 1e-1]},
        "batch_size": {"loginteger": [16, 128]},
    }
    return specs.parse({**raw_spec, "search": "tpe", "trials": 20})


def fits(_):
    return None


def entered(suggestions, before=()):
    """Suggestions as the ledger has them once they are trained: the larger the rate, the better."""
    trials = list(before)
    for suggestion in suggestions:
        scores = [suggestion.config["optimizer"]["lr"] * epoch for epoch in (1, 2, 3, 4)]
        reports = [Report(epoch, {"val_accuracy": score}, "weights") for epoch, score in enumerate(scores, 1)]
        made = Trial(
            len(trials) + 1, dict(suggestion.config), "finished", None, reports,
            wave=suggestion.wave, group=suggestion.group, basis=suggestion.basis, confirms=suggestion.confirms,
        )  # fmt: skip
        trials.append(made)
    return trials


def searched(spec, misfit=fits):
    trials = []
    while suggestions := search.suggest(spec, trials, misfit):
        trials = entered(suggestions, trials)
    return trials


def test_the_waves_of_tpe_rest_on_all_trials_before_them(spec):
    trials = searched(spec)
    assert [sum(trial.wave == wave for trial in trials) for wave in (1, 2, 3)] == [8, 8, 4]
    assert {trial.wave: trial.basis for trial in trials} == {1: None, 2: "1-8", 3: "1-16"}
    assert (
        len({trial.group for trial in trials if trial.wave == 1} & {trial.group for trial in trials if trial.wave == 2})
        == 0
    )


def test_the_same_rows_give_the_same_suggestions_and_other_rows_do_not(spec):
    first = entered(search.suggest(spec, [], fits))
    again = search.suggest(spec, first, fits)
    assert search.suggest(spec, first, fits) == again
    worse = [Trial(**{**vars(value), "reports": [Report(1, {"val_accuracy": -value.number})]}) for value in first]
    assert search.suggest(spec, worse, fits) != again


def test_tpe_finds_what_is_better(spec):
    trials = searched(spec)
    early, late = ([trial.config["optimizer"]["lr"] for trial in trials if trial.wave == wave] for wave in (1, 3))
    assert sorted(late)[len(late) // 2] > sorted(early)[len(early) // 2]


def test_keys_have_values_only_where_they_are_asked_for(spec):
    for one in searched(spec):
        model = one.config["model"]
        assert model["family"] in ("mlp", "linear")
        if model["family"] == "mlp":
            assert model["width"] in ([8], [8, 8], 16) and model["dropout"] in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
        assert 16 <= one.config["batch_size"] <= 128


def test_what_does_not_fit_is_skipped_with_the_reason(spec):
    skipped = search.suggest(spec, [], lambda config: "too large" if config.model.family == "mlp" else None)
    assert {one.problem for one in skipped if one.config["model"]["family"] == "mlp"} == {"too large"}
    assert {one.problem for one in skipped if one.config["model"]["family"] == "linear"} == {None}


def test_seeds_of_a_point_are_trials_beside_each_other(raw_spec):
    spec = specs.parse({**raw_spec, "search": "tpe", "trials": 10, "seeds": 2})
    trials = searched(spec)
    assert len(trials) == 20
    assert all(a.config | {"seed": 1} == b.config for a, b in zip(trials[::2], trials[1::2], strict=True))


def test_the_best_are_confirmed_with_seeds_that_nobody_had(raw_spec):
    spec = specs.parse({**raw_spec, "run": {**raw_spec["run"], "seed": 7}, "confirm": {"top": 2, "seeds": 3}})
    trials = searched(spec)
    confirming = [trial for trial in trials if trial.confirms]
    best = sorted(trials[:4], key=lambda one: -one.config["optimizer"]["lr"])
    assert [one.confirms for one in confirming] == [best[0].number] * 3 + [best[1].number] * 3
    assert [one.config["seed"] for one in confirming] == [8, 9, 10, 8, 9, 10]
    assert {one.wave for one in confirming} == {2}


def scored(suggestions, before, score):
    """The trials after a wave in which each has the score of its number."""
    trials = list(before)
    for suggestion in suggestions:
        number = len(trials) + 1
        reports = [Report(1, {"val_accuracy": score(number)}, "weights")]
        config, wave, confirms = dict(suggestion.config), suggestion.wave, suggestion.confirms
        trials.append(Trial(number, config, "finished", reports=reports, wave=wave, confirms=confirms))
    return trials


def chosen(spec, trials):
    return finalists._confirmed(rank(trials, spec.objective), spec)


def test_after_an_extension_the_new_best_are_confirmed_and_those_known_are_not_confirmed_twice(raw_spec):
    spec = specs.parse({**raw_spec, "confirm": {"top": 2, "seeds": 1}})
    trials = scored(search.suggest(spec, [], fits), [], lambda number: number / 10)
    trials = scored(search.suggest(spec, trials, fits), trials, lambda _: 0.3)
    assert [trial.confirms for trial in trials[4:]] == [4, 3]
    assert search.suggest(spec, trials, fits) == []
    more = specs.parse({**raw_spec, "confirm": {"top": 2, "seeds": 1}, "trials": 6})
    worse = scored(search.suggest(more, trials, fits), trials, lambda _: 0.1)
    assert search.suggest(more, worse, fits) == []
    assert chosen(more, worse) == chosen(spec, trials)
    trials = scored(search.suggest(more, trials, fits), trials, lambda number: {7: 0.35, 8: 0.9}[number])
    assert chosen(more, trials).ties == (4,)  # the one of the best that is confirmed
    trials = scored(search.suggest(more, trials, fits), trials, lambda _: 0.8)
    assert [trial.confirms for trial in trials[8:]] == [8]
    assert search.suggest(more, trials, fits) == []
    choice = chosen(more, trials)
    assert (choice.taken.trial.number, choice.ties) == (9, (8,))
    assert choice.reason.startswith(
        "by the mean val_accuracy of other seeds: 0.8000 (trial 8), 0.3000 (trial 4); chose trial "
    )


def test_a_config_of_several_seeds_is_confirmed_once(raw_spec):
    spec = specs.parse({**raw_spec, "seeds": 2, "trials": 2, "confirm": {"top": 2, "seeds": 1}})
    trials = scored(search.suggest(spec, [], fits), [], lambda _: 0.5)
    trials = scored(search.suggest(spec, trials, fits), trials, lambda _: 0.5)
    assert [trial.confirms for trial in trials] == [None, None, None, None, 1, 3]
    trials[1] = Trial(**{**vars(trials[1]), "reports": [Report(1, {"val_accuracy": 0.6}, "weights")]})
    assert search.suggest(spec, trials, fits) == []
    assert chosen(spec, trials).ties == (2,)


def test_more_trials_go_on_where_the_search_was(raw_spec):
    before = searched(specs.parse(raw_spec))
    more = search.suggest(specs.parse({**raw_spec, "trials": 6}), before, fits)
    assert [one.config for one in more] == [one.config for one in searched(specs.parse({**raw_spec, "trials": 6}))][4:]
    assert {one.wave for one in more} == {2}


def test_what_is_left_of_a_sweep_is_checked_and_what_has_ended_is_not(spec):
    config = spec.configs[0].model_dump(mode="json")
    ended = [Trial(number, {"of": "old"}, status) for number, status in enumerate(("finished", "failed", "stopped"), 1)]
    assert search.left([*ended, Trial(4, config), Trial(5, config, "paused")]) == [spec.configs[0]] * 2
    with pytest.raises(InvalidInput, match="trial 4: momentum_of_old"):
        search.left([*ended, Trial(4, {**config, "momentum_of_old": 0.9}, "interrupted")])
