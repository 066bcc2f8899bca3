from registry.ledger import Report, Trial
from tuning import spec
from tuning.field import Field


def test_trials_whose_rate_is_still_to_decay_are_compared_by_their_running_mean():
    read = spec.parse(
        {
            "name": "tiny",
            "data": {"name": "digits", "holdout": 0},
            "run": {"model": {"family": "linear"}, "epochs": 4},
            "space": {"optimizer.lr": {"choice": [0.1, 0.2]}},
            "search": "grid",
        }
    )
    reports = [
        Report(1, {"val_accuracy": 0.3, "mean_val_accuracy": 0.95}, None),
        Report(4, {"val_accuracy": 0.9}, None),
    ]
    trial = Trial(1, read.configs[0].model_dump(mode="json"), "running", None, reports)
    standing = Field(read, [trial]).standings[1]
    assert (standing.scores, standing.best) == ({1: 0.95, 4: 0.9}, 0.9)


def test_trials_that_are_measured_at_different_epochs_wait_for_each_other_and_one_of_them_finishes():
    read = spec.parse(
        {
            "name": "tiny",
            "data": {"name": "digits", "holdout": 0},
            "run": {"model": {"family": "linear"}, "epochs": 8},
            "space": {"measure_every": {"choice": [2, 3]}},
            "search": "grid",
        }
    )
    trials = [Trial(number, config.model_dump(mode="json")) for number, config in enumerate(read.configs, 1)]
    field = Field(read, trials)
    while due := field.due():
        for number in due:
            train(field, number, trials[number - 1].config)
    assert {number: standing.status for number, standing in field.standings.items()} == {1: "paused", 2: "finished"}


def train(field, number, config):
    """Train a trial to its next rung, or its end."""
    standing = field.standings[number]
    for epoch in range(1 + max(standing.scores, default=0), config["epochs"] + 1):
        last = epoch == config["epochs"]
        if last or not epoch % config["measure_every"]:
            answer = field.report(number, epoch, {"val_accuracy": number * epoch / 100})
            standing.status = "finished" if last else {"go on": "running", "pause": "paused"}[answer]
            if answer == "pause":
                return


def test_the_time_left_is_that_of_epochs_not_of_measurements():
    read = spec.parse(
        {
            "name": "tiny",
            "data": {"name": "digits", "holdout": 0},
            "run": {"model": {"family": "linear"}, "epochs": 10, "measure_every": 4},
            "space": {"optimizer.lr": {"choice": [0.1, 0.2]}},
            "search": "grid",
            "scheduler": "none",
        }
    )
    trials = [Trial(number, config.model_dump(mode="json")) for number, config in enumerate(read.configs, 1)]
    field = Field(read, trials)
    field.report(1, 4, {"val_accuracy": 0.5, "seconds": 20.0})
    assert (field.left(1), field.left(2)) == (6 * 5.0, 10 * 5.0)
    field.report(1, 8, {"val_accuracy": 0.5, "seconds": 24.0})
    assert (field.left(1), field.left(2)) == (2 * 6.0, 10 * 6.0)
