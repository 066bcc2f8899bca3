"""The writer without Ray around it: what its actor does, and in which order."""

import pytest

from registry import ledger
from registry.core import Registry
from tailorbird.errors import Unavailable
from tuning.writer import LedgerWriter

METRICS = {"val_accuracy": 0.5}


@pytest.fixture
def writer(settings):
    made = LedgerWriter(settings, "tiny-1")
    made.begin({"name": "tiny"}, [{"epochs": 2}, {"epochs": 2}], None, "ada")
    yield made
    made.end("finished")


@pytest.fixture
def trials(settings):
    def read():
        with Registry(settings) as registry:
            return ledger.trials(registry, "tiny-1")

    return read


def test_a_report_is_in_the_ledger_with_its_checkpoint_in_the_store(writer, trials, settings):
    writer.set_trial(1, "running")
    writer.report(1, 1, METRICS, b"weights", last=False)
    writer.report(1, 2, METRICS, None, last=True)
    first, second = trials()
    assert (first.status, second.status) == ("finished", "pending")
    assert [report.checkpoint is not None for report in first.reports] == [True, False]
    with Registry(settings) as registry:
        assert registry.blobs.get(first.reports[0].checkpoint) == b"weights"


def test_a_repeated_report_changes_nothing(writer, trials):
    for metrics in (METRICS, {"val_accuracy": 0.9}):
        writer.report(1, 1, metrics, None, last=False)
    assert [report.metrics for report in trials()[0].reports] == [METRICS]


def test_a_checkpoint_that_cannot_be_stored_leaves_no_report(writer, trials, monkeypatch):
    def full(_data):
        raise Unavailable("no space left")

    monkeypatch.setattr(writer._registry.blobs, "put", full)
    with pytest.raises(Unavailable):
        writer.report(1, 1, METRICS, b"weights", last=True)
    assert (trials()[0].reports, trials()[0].status) == ([], "pending")


def test_what_the_driver_says_of_a_trial_that_has_ended_changes_nothing(writer, trials):
    writer.report(1, 1, METRICS, None, last=True)
    writer.set_trial(1, "stopped")
    writer.set_trial(2, "failed", "out of memory")
    writer.set_trial(2, "failed", "the worker died")
    assert [(one.status, one.problem) for one in trials()] == [("finished", None), ("failed", "out of memory")]
