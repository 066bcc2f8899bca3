import os
import socket

from registry import extensions, incidents, leases, ledger
from registry.incidents import Incident
from registry.leases import Lease
from registry.ledger import Change
from tests import sweeps

SWEEP = "fashion-1a2b3c"


def known(registry):
    return [incident._replace(happened="") for incident in incidents.of(registry, SWEEP)]


def test_a_failed_trial_is_an_incident_each_time_that_it_fails(registry):
    lease = sweeps.begin(registry, SWEEP, {}, [{"lr": 0.1}, {"lr": 0.01}])
    sweeps.begin(registry, "other", {}, [{}])
    failed = Incident("failed", 2, "the loss is no number", None, "")
    for _ in range(2):  # the same status again changes nothing
        ledger.enter(registry, lease, [Change(2, "failed", failed.why)])
    assert known(registry) == [failed]
    extensions.retry(registry, lease, [2])
    sweeps.walk(registry, SWEEP, 2, "running")
    ledger.enter(registry, lease, [Change(2, "failed", failed.why)])
    assert known(registry) == [failed, failed]
    assert incidents.of(registry, "other") == []


def test_each_takeover_tells_who_it_was_and_how_the_sweep_had_ended(registry):
    sweeps.begin(registry, SWEEP, {}, [{}])
    sweeps.end(registry, SWEEP, "interrupted")
    leases.take(registry, SWEEP, 60, "ada")
    ledger.end(registry, Lease(SWEEP, 2), "failed", problem="the disk is full")
    leases.take(registry, SWEEP, 60, "grace", "extended")
    leases.cancel(registry, SWEEP, "grace")
    leases.take(registry, SWEEP, -1, "ada")  # whose lease has run out at once
    leases.take(registry, SWEEP, 60, "grace")
    assert [(incident.kind, incident.who, incident.why) for incident in known(registry)] == [
        ("resumed", "ada", "interrupted"),
        ("extended", "grace", "ended by an error: the disk is full"),
        ("resumed", "ada", "cancelled by grace"),
        ("resumed", "grace", f"abandoned by process {os.getpid()} on {socket.gethostname()}"),
    ]
    times = [incident.happened for incident in incidents.of(registry, SWEEP)]
    assert times == sorted(times)
