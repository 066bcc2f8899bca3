import pytest

from registry.ledger import Report, Trial
from tuning import spec as specs
from tuning import study


@pytest.fixture
def trials(raw_spec):
    """Thirty trials whose first score is their learning rate's, and of which nothing else matters."""
    raw_spec["space"]["epochs"] = {"choice": [3]}
    spec = specs.parse({**raw_spec, "trials": 30})
    rows = [
        Trial(n, config.model_dump(mode="json"), "paused", reports=[Report(1, {"val_accuracy": config.optimizer.lr})])
        for n, config in enumerate(spec.configs, 1)
    ]
    return spec, rows


def test_what_decides_is_the_most_important(trials):
    shares = study.importance(*trials)
    assert next(iter(shares)) == "optimizer.lr"
    assert shares["optimizer.lr"] > 0.5 and sum(shares.values()) == pytest.approx(1)


def test_of_few_trials_nothing_is_said(trials):
    spec, rows = trials
    assert study.importance(spec, rows[:10]) == {}
    assert study.importance(spec, []) == {}
