"""Running a sweep: loading its data, and starting Ray while PyTorch and Tune are imported."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from registry import ledger, names, policy, signing
from registry.core import Registry
from registry.ledger import Sweep
from tailorbird.errors import InvalidInput, LeaseHeld, Unavailable
from tailorbird.settings import Settings
from training import datasets, registrable, splits
from training.config import RunConfig
from tuning import addresses, cluster, extension, outcome, search
from tuning import spec as specs
from tuning.loading import Loading
from tuning.outcome import Outcome
from tuning.spec import SweepSpec
from tuning.stop import Stop

HEAD_START = 1.0
"""Seconds to wait for the data before Ray is started in parallel."""

Execute = Callable[[Registry, SweepSpec, str, Sweep | None, Path], Outcome]
"""As `Execution.run`."""


@dataclass(frozen=True)
class Driver:
    """Who runs sweeps, where they are recorded and shown, and on which cluster."""

    settings: Settings
    console: Console
    who: str
    address: str | None = None
    stop: Stop = field(default_factory=Stop)

    def run(self, spec: SweepSpec, sweep: str | None = None) -> Outcome:
        """Run a checked spec to its end, or resume the sweep of that name.

        Raises InvalidInput if that has another spec or was cancelled, Irreproducible if it was started on another kind
        of processor, and Interrupted on Ctrl-C, SIGTERM or SIGHUP: the ledger keeps all reports, and nothing is
        registered.
        """
        if sweep is None:
            return self._driven(spec, f"{spec.name}-{secrets.token_hex(3)}", None)
        names.check("--id", sweep)
        with Registry(self.settings) as registry:
            known = ledger.sweep(registry, sweep) if ledger.known(registry, sweep) else None
        plain = spec.plain()
        if known and spec.leaves_precision:
            plain["run"] = {**spec.run, "precision": known.spec["run"].get("precision")}
        changes = [_changed(form, plain) for form in extension.forms(known.spec)] if known else [None]
        if all(changes):
            raise InvalidInput(
                "--id", f"{sweep} already exists with another value of {changes[0]}; choose another name"
            )
        if known and known.status == "cancelled":  # a job that is restarted must not undo that
            raise InvalidInput(
                "--id",
                f"{sweep} was {known.problem}; continue it with `tailorbird sweep --resume {sweep}`, or choose another "
                f"name",
            )
        return self._driven(specs.stored(known.spec) if known else spec, sweep, known)

    def spec(self, sweep: str) -> SweepSpec:
        """The spec of a sweep of the ledger."""
        with Registry(self.settings) as registry:
            return specs.stored(ledger.sweep(registry, sweep).spec)

    def resume(self, sweep: str) -> Outcome:
        """Resume a sweep of the ledger, even one that was cancelled."""
        with Registry(self.settings) as registry:
            known = ledger.sweep(registry, sweep)
        return self._driven(specs.stored(known.spec), sweep, known)

    def check(self, registry: Registry, sweep: Sweep) -> None:
        """Raise what a resume of this sweep would raise on account of settings, storage, processor or cluster."""
        from tuning import processor

        _check_settings(self.settings, self.who)
        _check_writable(registry)
        if addresses.is_own(self.address):
            processor.check(sweep)
        else:
            addresses.check(addresses.resolved(self.address))

    def _driven(self, spec: SweepSpec, sweep: str, known: Sweep | None) -> Outcome:
        with Registry(self.settings) as registry, self.stop.caught():
            _check_settings(self.settings, self.who)
            if known and known.status == "finished":
                return Outcome(sweep, outcome.ranked(registry, spec, sweep), outcome.earlier(registry, spec, known))
            if known and known.standing == "running":
                raise LeaseHeld(sweep, known.owner or "", known.expires or "")
            left = search.left(ledger.trials(registry, sweep)) if known else None
            loading = Loading(lambda: self._loaded(spec, known, left))
            loading.wait(HEAD_START)
            if addresses.is_own(self.address):
                self.console.print(f"sweep {sweep}: starting Ray")
            with cluster.connected(self.address, self.stop) as folder:
                execute = loading.result()
                _check_writable(registry)  # creates the folder, so after the checks that refuse most specs
                return execute(registry, spec, sweep, known, folder)

    def _loaded(self, spec: SweepSpec, known: Sweep | None, left: list[RunConfig] | None) -> Execute:
        """Load the data, then PyTorch and Tune, whose import takes seconds."""
        settings, here = self.settings, addresses.is_own(self.address)
        dataset = datasets.load(spec.data, settings.data, settings.cache, settings.download_timeout)
        dealt = splits.split(dataset, spec.data)
        if spec.promote:
            registrable.check(dealt)
        from tuning import processor
        from tuning.execution import Execution, prepare

        if known and here:  # the nodes of a cluster may have other processors than its driver
            processor.check(known)
        prepared = prepare(spec, dataset, dealt, left, settings.cache, here=here)
        return Execution(settings, self.console, self.who, self.address, self.stop, prepared).run


def _check_settings(settings: Settings, who: str) -> None:
    """Refuse before training what would fail after it."""
    names.check_text("--who", who, names.WHO)
    policy.load(settings.gates)
    if settings.signing_key is not None:
        signing.private_key(settings.signing_key)


def _check_writable(registry: Registry) -> None:
    """Raise Unavailable if a sweep cannot be recorded, or its checkpoints cannot be stored."""
    if registry.database.read_only:
        raise Unavailable(f"the database {registry.database.name} is read-only, and a sweep is recorded in it")
    if registry.blobs.read_only:
        raise Unavailable(f"the storage {registry.settings.storage} is read-only, and checkpoints are stored in it")
    next(iter(registry.blobs.listing()), None)  # checks that the bucket exists


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    return next((key for key in {**before, **now} if before.get(key) != now.get(key)), None)
