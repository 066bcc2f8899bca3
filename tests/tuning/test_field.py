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
        Report(1, {"val_accuracy": 0.3, "mean_val_accuracy": 0.8}, None),
        Report(4, {"val_accuracy": 0.9}, None),
    ]
    trial = Trial(1, read.configs[0].model_dump(mode="json"), "running", None, reports)
    assert Field(read, [trial]).standings[1].scores == {1: 0.8, 4: 0.9}
