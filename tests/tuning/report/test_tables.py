import pytest

from tuning import spec as specs
from tuning.report import results, tables
from tuning.report.results import Figure


@pytest.fixture
def spec(study):
    return specs.parse({**study, "seeds": 1, "reference": {"test_accuracy": 0.8}})


@pytest.fixture
def rows(spec, trial):
    first = {"train_loss": 2.0, "train_accuracy": 0.1, "val_loss": 2.5, "seconds": 0.25}
    last = {"train_loss": 0.5, "train_accuracy": 0.8, "val_loss": 0.75, "seconds": 0.25}
    trials = [
        trial(1, spec.configs[0], first, {**last, "test_accuracy": 0.512, "fit_accuracy": 0.6}),
        trial(2, spec.configs[1], first, {**last, "test_accuracy": 0.9}),
    ]
    return results.rows(spec, [(trial, spec.listed(trial.number)) for trial in trials])


def column(table, title):
    return [row[table.columns.index(title)] for row in table.rows]


def test_a_reference_stands_beside_its_figure_with_the_difference(rows):
    table = tables.results(rows, tables.compared(rows))
    assert table.columns[:4] == ["run", "test accuracy", "reference", "difference"]
    assert table.rows[0][:4] == ["narrow", "51.20%", "50.00%", "+1.20"]
    assert table.rows[1][:4] == ["wide", "90.00%", "99.00%", "−9.00"]
    assert table.right == len(table.columns) - 1


def test_only_what_was_measured_has_a_column(rows):
    table = tables.results(rows, tables.compared(rows))
    assert "test NLL" not in table.columns
    assert column(table, "train accuracy") == ["60.00%", "-"]
    assert column(table, "gap, points") == ["+8.80", "-"]
    assert column(table, "seconds") == ["0.5", "0.5"]
    assert column(table, "points per second") == ["102", "180"]


def test_losses_stand_apart_unless_there_is_a_reference_for_them(rows, spec, trial):
    assert "train loss, running" not in tables.results(rows, tables.compared(rows)).columns
    assert column(tables.results(rows, tables.losses(rows)), "train loss, running") == ["0.5000", "0.5000"]
    listed = spec.listed(1).model_copy(update={"reference": {"train_loss": 0.75}})
    message = results.rows(spec, [(rows[0].trials[0], listed)])
    table = tables.results(message, tables.compared(message))
    assert table.rows[0][1:5] == ["0.5000", "0.7500", "−0.2500", "51.20%"]


def test_the_best_is_told_beside_the_reference_of_the_whole(spec, rows):
    assert tables.top(spec, rows) == ["Best by test accuracy: wide, test accuracy 90.00%; reference 80.00%."]


def test_settings_are_those_in_which_rows_differ(study, trial):
    spec = specs.parse({**study, "runs": [{"epochs": 2}, {"epochs": 2, "model": {"width": [16]}}], "seeds": 1})
    trials = [trial(number, config, {"train_loss": 1.0}) for number, config in enumerate(spec.configs, 1)]
    rows = results.rows(spec, [(trial, spec.listed(trial.number)) for trial in trials])
    table = tables.settings(spec, rows)
    assert table.columns == ["run", "width"]
    assert [row[1] for row in table.rows] == ["[8]", "[16]"]
    assert tables.settings(spec, rows[:1]) is None


def test_the_first_and_the_last_epoch_are_told(rows):
    table = tables.ends(rows)
    assert table.columns == ["run", "epoch", "train loss", "train accuracy", "validation loss"]
    assert table.rows[0] == ["narrow", "1", "2.0000", "10.00%", "2.5000"]
    assert table.rows[1] == ["narrow", "2", "0.5000", "80.00%", "0.7500"]
    assert len(table.rows) == 4


@pytest.mark.parametrize(
    ("form", "figure", "shown"),
    [
        (tables.percent, Figure(0.89934, 0.0012), "89.93% ± 0.12"),
        (tables.points, Figure(-0.012), "−1.20"),
        (tables.points, Figure(-0.00001), "0.00"),
        (tables.plain, Figure(0.27294, 0.00316), "0.2729 ± 0.0032"),
        (tables.seconds, Figure(1234.5), "1,234"),
        (tables.rate, Figure(0.0123), "1.23"),
        (tables.rate, Figure(18.8), "1,880"),
    ],
)
def test_how_figures_are_shown(form, figure, shown):
    assert form(figure) == shown


def test_every_metric_of_a_reference_has_a_column():
    from typing import get_args

    assert set(get_args(specs.Metric)) <= set(tables.RESULTS)


def test_the_best_is_not_the_one_that_the_test_split_likes_most(study, trial):
    spec = specs.parse(
        {**study, "data": {**study["data"], "validation": 0.2}, "seeds": 1, "reference": {"test_accuracy": 0.8}}
    )
    figures = [{"val_accuracy": 0.9, "test_accuracy": 0.7}, {"val_accuracy": 0.8, "test_accuracy": 0.9}]
    trials = [trial(number, spec.configs[number - 1], figure) for number, figure in enumerate(figures, 1)]
    rows = results.rows(spec, [(trial, spec.listed(trial.number)) for trial in trials])
    assert tables.top(spec, rows) == ["Best by validation accuracy: narrow, test accuracy 70.00%; reference 80.00%."]
