"""Sweeps in the ledger, as tests make them: each by one process, whose lease is the first."""

from registry import ledger
from registry.leases import Lease
from registry.ledger import Change, Suggestion


def begin(registry, sweep, spec, configs, champion=None, who="ada", processor=None):
    suggestions = [Suggestion(config, group=number) for number, config in enumerate(configs, 1)]
    return ledger.begin(registry, sweep, spec, suggestions, champion, who, processor=processor)


def report(registry, sweep, trial, made):
    ledger.enter(registry, Lease(sweep, 1), [Change(trial, report=made)])


def walk(registry, sweep, trial, *statuses, problem=None):
    for status in statuses:
        ledger.enter(registry, Lease(sweep, 1), [Change(trial, status, problem)])


def set_trial(registry, sweep, trial, status, problem=None):
    """A trial that was running is that now."""
    walk(registry, sweep, trial, "running", *([] if status == "running" else [status]), problem=problem)


def end(registry, sweep, status, **more):
    ledger.end(registry, Lease(sweep, 1), status, **more)
