import os
import subprocess
import sys
from contextlib import nullcontext
from datetime import datetime, timedelta

import pytest

from registry import extensions, leases, ledger, schema
from registry.core import Registry
from registry.ledger import Change, Report
from tailorbird.errors import LeaseHeld, LeaseLost, SweepChanged
from tailorbird.settings import Settings
from tests import sweeps

SWEEP = "fashion-1a2b3c"
CONFIGS = [{"lr": 0.1}, {"lr": 0.01}]


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""

    class Clock:
        now = datetime.fromisoformat(schema.now())

        def sleep(self, seconds):
            self.now += timedelta(seconds=seconds)

    clock = Clock()
    monkeypatch.setattr(schema, "now", lambda: schema.timestamp(clock.now))
    return clock


@pytest.fixture
def lease(registry, clock):
    made = sweeps.begin(registry, SWEEP, {}, CONFIGS)
    ledger.assign(registry, made, 1, [1], "0.a")
    return made


def test_a_second_process_is_refused_until_the_lease_has_run_out(registry, lease, clock):
    clock.sleep(59)
    with pytest.raises(LeaseHeld, match=rf"^sweep {SWEEP} is being run by process {os.getpid()} on "):
        leases.take(registry, SWEEP, 60, "ada")
    leases.renew(registry, lease, 60)
    clock.sleep(59)
    with pytest.raises(LeaseHeld):
        leases.take(registry, SWEEP, 60, "ada")
    assert ledger.sweep(registry, SWEEP).standing == "running"
    clock.sleep(2)
    assert ledger.sweep(registry, SWEEP).standing == "abandoned"
    assert leases.take(registry, SWEEP, 60, "ada").token == 2
    assert ledger.sweep(registry, SWEEP).standing == "running"
    assert [trial.status for trial in ledger.trials(registry, SWEEP)] == ["interrupted", "pending"]


WRITES = {
    "renew": lambda r, old: leases.renew(r, old, 60),
    "report": lambda r, old: ledger.enter(r, old, [Change(1, "running", report=Report(1, {}))]),
    "assign": lambda r, old: ledger.assign(r, old, 1, [1], "0.a"),
    "release": lambda r, old: ledger.release(r, old, 1, 1),
    "add": lambda r, old: ledger.add(r, old, [], 3),
    "thaw": lambda r, old: extensions.thaw(r, old, 1),
    "rewrite": lambda r, old: extensions.rewrite(r, old, {}),
    "lengthen": lambda r, old: extensions.lengthen(r, old, {}, {1: {}}, {1: "paused"}, [1]),
    "retry": lambda r, old: extensions.retry(r, old, [1]),
    "outrank": lambda r, old: ledger.outrank(r, old, [1], [1]),
    "end": lambda r, old: ledger.end(r, old, "failed"),
}


@pytest.mark.parametrize("write", WRITES)
def test_no_write_changes_a_sweep_after_its_end(registry, lease, write):
    ledger.end(registry, lease, "finished")
    before = ledger.sweep(registry, SWEEP), ledger.trials(registry, SWEEP), ledger.groups(registry, SWEEP)
    with nullcontext() if write == "end" else pytest.raises(LeaseLost, match=rf"^sweep {SWEEP} is finished"):
        WRITES[write](registry, lease)
    assert (ledger.sweep(registry, SWEEP), ledger.trials(registry, SWEEP), ledger.groups(registry, SWEEP)) == before


@pytest.mark.parametrize("write", WRITES)
def test_every_write_of_one_that_was_taken_over_is_refused(registry, lease, clock, write):
    clock.sleep(61)
    leases.take(registry, SWEEP, 60, "ada")
    before = ledger.sweep(registry, SWEEP), ledger.trials(registry, SWEEP), ledger.groups(registry, SWEEP)
    with pytest.raises(LeaseLost, match=rf"^sweep {SWEEP} was taken over by process {os.getpid()} on "):
        WRITES[write](registry, lease)
    assert (ledger.sweep(registry, SWEEP), ledger.trials(registry, SWEEP), ledger.groups(registry, SWEEP)) == before


def test_a_worker_whose_group_was_given_to_another_is_refused(registry, lease):
    ledger.release(registry, lease, 1, 1)
    assert ledger.trials(registry, SWEEP)[0].status == "interrupted"
    attempt = ledger.assign(registry, lease, 1, [1], "1.b")
    with pytest.raises(LeaseLost, match="has assigned group 1 of its trials to another worker"):
        ledger.enter(registry, lease, [Change(1, report=Report(1, {}))], (1, 1))
    ledger.enter(registry, lease, [Change(1, report=Report(1, {}))], (1, attempt))
    assert (ledger.trials(registry, SWEEP)[0].attempt, attempt) == (3, 3)


def test_a_sweep_whose_process_is_gone_is_taken_over_at_once(tmp_path):
    settings = Settings(home=tmp_path / "home", _env_file=None)
    script = (
        "from registry.core import Registry; from tailorbird.settings import Settings; from tests import sweeps\n"
        f"with Registry(Settings(home={str(settings.home)!r}, _env_file=None)) as registry:\n"
        f"    sweeps.begin(registry, {SWEEP!r}, {{}}, [{{}}])"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with Registry(settings) as registry:
        assert ledger.sweep(registry, SWEEP).standing == "abandoned"
        assert leases.take(registry, SWEEP, 60, "ada").token == 2


def test_a_sweep_that_another_process_has_held_since_it_was_read_is_not_taken(registry, lease):
    ledger.end(registry, lease, "finished")
    before = ledger.sweep(registry, SWEEP)
    ledger.end(registry, leases.take(registry, SWEEP, 60, "ada", expect=before.holding), "finished")
    with pytest.raises(SweepChanged, match=f"^sweep {SWEEP} was changed by another process in the meantime; "):
        leases.take(registry, SWEEP, 60, "grace", expect=before.holding)
    assert ledger.sweep(registry, SWEEP).status == "finished"


def test_a_sweep_that_was_read_while_another_process_held_it_is_not_taken_when_that_has_ended(registry, lease):
    during = ledger.sweep(registry, SWEEP)
    ledger.end(registry, lease, "interrupted")
    with pytest.raises(SweepChanged):
        leases.take(registry, SWEEP, 60, "grace", expect=during.holding)


def test_a_cancelled_sweep_is_closed_to_its_process(registry, lease):
    leases.cancel(registry, SWEEP, "grace")
    with pytest.raises(LeaseLost, match=f"^sweep {SWEEP} was cancelled by grace;"):
        ledger.end(registry, lease, "finished")
    closed = ledger.sweep(registry, SWEEP)
    assert (closed.status, closed.problem) == ("cancelled", "cancelled by grace")
    assert leases.take(registry, SWEEP, 60, "ada").token == 3


def test_a_finished_sweep_is_not_cancelled(registry, lease):
    ledger.end(registry, lease, "finished")
    leases.cancel(registry, SWEEP, "grace")
    assert ledger.sweep(registry, SWEEP).status == "finished"
