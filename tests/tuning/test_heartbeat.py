import io
import threading

import pytest
from rich.console import Console

from registry import leases, ledger
from registry.core import Registry
from registry.ledger import Report
from tailorbird.errors import LeaseLost, Unavailable
from tests import sweeps
from tuning import heartbeat
from tuning import spec as specs
from tuning.heartbeat import Heartbeat
from tuning.progress import LiveTable


@pytest.fixture
def beating(settings, raw_spec, monkeypatch):
    """A heartbeat of a sweep, and what happens where its lease is lost."""
    monkeypatch.setattr(heartbeat, "SHOW_EVERY", 0.01)
    spec = specs.parse(raw_spec)
    plain = [config.model_dump(mode="json") for config in spec.configs]
    lost = threading.Event()
    with Registry(settings) as registry:
        lease = sweeps.begin(registry, "tiny-1", spec.model_dump(mode="json", exclude_none=True), plain)
        table = LiveTable(spec, Console(file=io.StringIO()))
        yield registry, Heartbeat(registry, lease, spec, table, 0.1, lost.set), lost


def test_the_lease_is_renewed_again_and_again(beating):
    registry, beats, lost = beating
    before = ledger.sweep(registry, "tiny-1").expires
    renewed = threading.Event()
    renew = leases.renew

    def counted(*arguments):
        renew(*arguments)
        renewed.set()

    with pytest.MonkeyPatch.context() as patch, beats:
        patch.setattr(leases, "renew", counted)
        assert renewed.wait(30)
    assert ledger.sweep(registry, "tiny-1").expires != before
    beats.check()
    assert not lost.is_set()


def test_a_resumed_sweep_tells_where_it_stands_and_what_ends_from_then_on(settings, raw_spec):
    spec = specs.parse(raw_spec)
    console = Console(file=io.StringIO(), width=200)
    with Registry(settings) as registry:
        lease = sweeps.begin(registry, "tiny-1", spec.plain(), [one.model_dump(mode="json") for one in spec.configs])
        sweeps.report(registry, "tiny-1", 1, Report(1, {"val_accuracy": 0.5}))
        sweeps.set_trial(registry, "tiny-1", 1, "stopped")
        sweeps.set_trial(registry, "tiny-1", 2, "failed", "the loss is nan")
        with Heartbeat(registry, lease, spec, LiveTable(spec, console), 60, lambda: None) as beats:
            sweeps.set_trial(registry, "tiny-1", 3, "stopped")
            beats.show()
    standing, ended = console.file.getvalue().splitlines()
    assert standing.startswith("tiny-1: 2/4 trials ended or paused, 1/")
    assert ended.startswith("trial 3/4 stopped")


def test_an_outage_is_told_once(beating, monkeypatch):
    _, beats, _ = beating
    renew, calls, over = leases.renew, [], threading.Event()

    def unavailable(*arguments):
        calls.append(arguments)
        if len(calls) < 3:
            raise Unavailable("the database is down")
        renew(*arguments)
        over.set()

    with beats:
        monkeypatch.setattr(leases, "renew", unavailable)
        assert over.wait(30)
    assert beats._table._console.file.getvalue().count("waiting: the database is down\n") == 1


def test_a_heartbeat_that_fails_ends_the_search_with_its_error(beating, monkeypatch):
    """Else the lease would run out unnoticed, and the search go on."""
    _, beats, ended = beating
    with beats:
        monkeypatch.setattr(leases, "renew", lambda *_: 1 / 0)
        assert ended.wait(30)
    with pytest.raises(ZeroDivisionError):
        beats.check()


def test_a_sweep_that_somebody_else_has_is_let_go(beating):
    registry, beats, lost = beating
    with beats:
        leases.cancel(registry, "tiny-1", "grace")
        assert lost.wait(30)
    with pytest.raises(LeaseLost, match="was cancelled by grace"):
        beats.check()
