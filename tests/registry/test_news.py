from registry import news
from registry.ledger import Report
from tests import sweeps

CONFIGS = [{"lr": 0.1}, {"lr": 0.01}]


def test_what_is_new_is_read_from_a_number_on(registry):
    sweeps.begin(registry, "fashion-1", {}, CONFIGS)
    sweeps.report(registry, "fashion-1", 1, Report(1, {"val_loss": 0.5}))
    sweeps.set_trial(registry, "fashion-1", 2, "failed", "the loss is NaN")
    sweeps.report(registry, "fashion-1", 2, Report(1, {"val_loss": 0.25}))
    assert news.statuses(registry, "fashion-1") == [(1, "pending", None), (2, "failed", "the loss is NaN")]
    assert [(config.number, config.config) for config in news.configs(registry, "fashion-1", 2)] == [(2, CONFIGS[1])]
    first, second = news.reports(registry, "fashion-1")
    assert first == (1, first.reported, 1, Report(1, {"val_loss": 0.5})) and first.reported < second.reported
    assert second == (2, second.reported, 2, Report(1, {"val_loss": 0.25}))
    assert news.reports(registry, "fashion-1", 1) == [second]
