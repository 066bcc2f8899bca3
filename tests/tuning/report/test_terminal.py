import io

from rich.console import Console

from tuning import outcome, summary
from tuning import spec as specs
from tuning.outcome import Outcome, Ranked
from tuning.report import terminal


def test_a_study_ends_with_its_table_in_the_order_of_the_spec(study, trial):
    spec = specs.parse({**study, "seeds": 1})
    trials = [trial(n, spec.configs[n - 1], {"val_accuracy": n / 10, "test_accuracy": n / 10}) for n in (2, 1)]
    console = Console(file=io.StringIO(), width=140)
    terminal.show(Outcome("tiny-1", [Ranked(trial, trial.reports[0]) for trial in trials], None), spec, console)
    lines = console.file.getvalue().splitlines()
    shown = [line.split() for line in lines if line.strip().startswith(("narrow", "wide"))]
    assert [line[:4] for line in shown] == [
        ["narrow", "10.00%", "50.00%", "−40.00"],
        ["wide", "20.00%", "99.00%", "−79.00"],
    ]
    assert "reference: made up" in lines
    assert "tailorbird report tiny-1" in lines[-1]


def test_every_column_fits_beside_the_others_in_eighty_places(study, trial):
    spec = specs.parse(study)
    names = ("test_accuracy", "test_nll", "test_calibration_error", "fit_accuracy", "seconds")
    trials = [
        trial(n, config, dict.fromkeys(("val_accuracy", *names), n / 10)) for n, config in enumerate(spec.configs, 1)
    ]
    console = Console(file=io.StringIO(), width=80)
    terminal.show(Outcome("tiny-1", [Ranked(trial, trial.reports[0]) for trial in trials], None), spec, console)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    place = lines.index(["wide", "(2", "seeds)", "35.00%", "99.00%", "−64.00", "0.00", "0.3500", "0.3"])
    assert lines[place + 1] == ["±", "7.07", "±", "0.00", "±", "0.0707"]


def test_of_very_many_trials_the_best_are_shown(study, trial):
    spec = specs.parse({**study, "runs": [{"epochs": n} for n in range(1, 101)], "seeds": 1})
    trials = [trial(n, config, {"test_accuracy": n / 1000}) for n, config in enumerate(spec.configs, 1)]
    console = Console(file=io.StringIO(), width=140)
    terminal.show(Outcome("tiny-1", [Ranked(trial, trial.reports[0]) for trial in trials], None), spec, console)
    shown = [line for line in console.file.getvalue().splitlines() if line.strip().startswith("epochs")]
    assert len(shown) == terminal.ROWS
    assert shown[0].split()[:3] == ["epochs", "100", "10.00%"]


def printed(spec, trials):
    console = Console(file=io.StringIO(), width=140)
    terminal.show(Outcome("tiny-1", outcome.rank(trials, spec.objective), None), spec, console)
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_a_search_that_promotes_nothing_ends_with_its_best_trials(raw_spec, trial):
    spec = specs.parse({**raw_spec, "promote": None, "trials": 7, "seeds": 2})
    figures = [{"val_accuracy": number / 10} for number in range(1, 6)]
    paused = [trial(number, spec.configs[0], given, status="paused") for number, given in enumerate(figures, 1)]
    finished = trial(6, spec.configs[5], {"val_accuracy": 0.75}, {"val_accuracy": 0.5, "test_accuracy": 0.625}, kept=0)
    lines = printed(spec, [*paused, finished])
    values = summary.cells(*spec.values(finished.config))
    place = lines.index(["trial", "val_accuracy", "at", "test_accuracy", *spec.varied.values()])
    assert lines[place + 2] == ["6", "0.7500", "1/3", "0.6250", *values]
    assert [line[:4] for line in lines[place + 3 : place + 7]] == [
        [str(number), f"{number / 10:.4f}", "1/6", "-"] for number in (5, 4, 3, 2)
    ]
    assert not any("seconds" in line for line in lines)


def test_scores_on_the_test_split_are_left_out_where_none_was_measured(raw_spec, trial):
    spec = specs.parse({**raw_spec, "promote": None})
    lines = printed(spec, [trial(1, spec.configs[0], {"val_accuracy": 0.5}, status="stopped")])
    assert ["trial", "val_accuracy", "at", *spec.varied.values()] in lines


def test_trials_of_a_search_without_a_metric_to_choose_by_have_their_settings_beside_their_numbers(raw_spec, trial):
    data = {**raw_spec["data"], "validation": 0}
    spec = specs.parse({**raw_spec, "promote": None, "data": data})
    lines = printed(spec, [trial(1, spec.configs[0], {"train_loss": 0.5, "seconds": 1.0})])
    assert any(" ".join(line).startswith("trial 1: depth 2, width 32, lr 0.0011, epochs 6 ") for line in lines)
