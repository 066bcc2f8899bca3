"""Running a sweep: prepare it, start or resume it, search, and register the best."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from registry import aliases, leases, ledger, names, policy, signing
from registry.core import Registry
from registry.leases import Lease
from registry.ledger import Sweep
from tailorbird.errors import Interrupted, InvalidInput, LeaseHeld, LeaseLost, TailorbirdError, Unavailable
from tailorbird.settings import Settings
from training import candidate, datasets, features, memory, precision, requirements, splits
from training.config import RunConfig
from training.datasets.dataset import Dataset
from training.splits import Splits
from tuning import addresses, cluster, finalists, outcome, placing, promotion, search, writer
from tuning import spec as specs
from tuning.heartbeat import Heartbeat
from tuning.lane_table import LaneTable
from tuning.loading import Loading
from tuning.misfits import Misfits
from tuning.outcome import Outcome, Promotion, Ranked
from tuning.parts import Promote
from tuning.patience import patient
from tuning.processor import processor
from tuning.progress import LiveTable
from tuning.spec import SweepSpec
from tuning.stop import Stop

HEAD_START = 1.0
"""Seconds to wait for the data before Ray is started in parallel."""


@dataclass(frozen=True)
class Driver:
    """Who runs sweeps, where they are recorded and shown, and on which cluster."""

    settings: Settings
    console: Console
    who: str
    address: str | None = None
    stop: Stop = field(default_factory=Stop)

    def run(self, spec: SweepSpec, sweep: str | None = None) -> Outcome:
        """Run a checked spec to its end; where there is a sweep of that name already, go on with it.

        Raises InvalidInput where that one has another spec, and Interrupted on Ctrl-C, SIGTERM or SIGHUP: the ledger
        keeps what was reported, and nothing is registered.
        """
        if sweep is None:
            return self._driven(spec, f"{spec.name}-{secrets.token_hex(3)}", None)
        names.check("--id", sweep)
        with Registry(self.settings) as registry:
            known = ledger.sweep(registry, sweep) if ledger.known(registry, sweep) else None
        plain = _plain(spec)
        if known and _leaves_precision(spec):
            plain["run"] = {**spec.run, "precision": known.spec["run"].get("precision")}
        if known and (changed := _changed(known.spec, plain)):
            raise InvalidInput("--id", f"{sweep} already exists with another {changed}; choose another name")
        return self._driven(specs.stored(known.spec) if known else spec, sweep, known)

    def spec(self, sweep: str) -> SweepSpec:
        """The spec of a sweep of the ledger."""
        with Registry(self.settings) as registry:
            return specs.stored(ledger.sweep(registry, sweep).spec)

    def resume(self, sweep: str) -> Outcome:
        """Go on with a sweep of the ledger."""
        with Registry(self.settings) as registry:
            known = ledger.sweep(registry, sweep)
        return self._driven(specs.stored(known.spec), sweep, known)

    def _driven(self, spec: SweepSpec, sweep: str, known: Sweep | None) -> Outcome:
        with Registry(self.settings) as registry, self.stop.caught():
            _check_settings(self.settings, self.who)
            if known and known.status == "finished":
                return Outcome(sweep, _ranked(registry, spec, sweep), promotion.earlier(registry, spec, known))
            if known and known.standing == "running":
                raise LeaseHeld(sweep, known.owner or "", known.expires or "")
            left = search.left(ledger.trials(registry, sweep)) if known else None
            loading = Loading(lambda: _prepared(spec, self.settings, left, here=addresses.is_own(self.address)))
            loading.wait(HEAD_START)
            _check_writable(registry)  # which makes the folder, so after what refuses most specs
            if addresses.is_own(self.address):
                self.console.print(f"sweep {sweep}: starting Ray")
            # caught again: Ray sets a handler of its own for SIGTERM when it starts, which aborts the process
            with cluster.connected(self.address) as folder, self.stop.caught():
                prepared = loading.result()
                self._check_room(spec)
                for note in prepared.notes:
                    self.console.print(note, style="yellow", soft_wrap=True)
                if prepared.lanes:
                    self.console.print(prepared.lanes, soft_wrap=True)
                if known is None:
                    spec = self._settled(spec, prepared.dealt)
                lease = self._held(registry, spec, sweep, known, prepared)
                return self._held_to_the_end(registry, lease, spec, prepared, folder)

    def _held(
        self, registry: Registry, spec: SweepSpec, sweep: str, known: Sweep | None, prepared: "Prepared"
    ) -> Lease:
        """Begin a sweep, or adopt one whose process is gone."""
        if known is not None:
            self.console.print(f"resuming {sweep}")
            return leases.take(registry, sweep, self.settings.lease_seconds)
        champion = aliases.current(registry, spec.promote.model, spec.promote.alias) if spec.promote else None
        return ledger.begin(
            registry, sweep, _plain(spec), search.suggest(spec, [], prepared.misfits, prepared.sizes),
            champion, self.who, processor=processor(), seconds=self.settings.lease_seconds,
        )  # fmt: skip

    def _settled(self, spec: SweepSpec, dealt: Splits) -> SweepSpec:
        """The spec with what data and processor make of what it leaves open, which then holds wherever it goes on."""
        if not _leaves_precision(spec):
            return spec
        first = spec.configs[0].model_copy(update={"precision": "auto"})
        self.console.print(precision.note(first, dealt))
        return specs.stored(
            _plain(spec) | {"run": {**spec.run, "precision": precision.settled(first, dealt).precision}}
        )

    def _held_to_the_end(
        self, registry: Registry, lease: Lease, spec: SweepSpec, prepared: "Prepared", folder: Path
    ) -> Outcome:
        table = LiveTable(spec, self.console)
        with (
            _closed(registry, lease) as closing,
            Heartbeat(registry, lease, spec, table, self.settings.lease_seconds, self.stop.cancel) as heartbeat,
        ):
            with table, self.stop.searching():
                self._search(lease, spec, prepared, folder)
                heartbeat.check()
                heartbeat.show()
            ranked = _ranked(registry, spec, lease.sweep)
            if not spec.promote:
                self.stop.commit()
                return Outcome(lease.sweep, ranked, None)
            closing.promotion = self._promoted(registry, lease, spec, spec.promote, prepared, ranked)
        return Outcome(lease.sweep, ranked, closing.promotion)

    def _search(self, lease: Lease, spec: SweepSpec, prepared: "Prepared", folder: Path) -> None:
        book = writer.start(self.settings, lease, _plain(spec), prepared.misfits, prepared.sizes)
        dealt = prepared.dealt.without_verdicts() if spec.promote else prepared.dealt
        placing.place(spec, dealt, book, folder, addresses.is_own(self.address))
        with _answered():
            ray.get(book.check.remote())
            if limit := ray.get(book.end.remote()):
                self.console.print(f"the search ended early, by {limit}", style="yellow")

    def _promoted(
        self, registry: Registry, lease: Lease, spec: SweepSpec, to: Promote, prepared: "Prepared", ranked: list[Ranked]
    ) -> Promotion:
        sweep = ledger.sweep(registry, lease.sweep)
        choice = finalists.choose(registry, lease, ranked, spec.objective, prepared.dealt, prepared.misfits)
        if choice.reason:
            self.console.print(choice.reason, soft_wrap=True)
        self.console.print(f"measuring and exporting trial {choice.taken.trial.number}")
        candidate = promotion.measure(registry, choice.taken, prepared.dealt)
        data = {**spec.data.model_dump(mode="json"), "sha256": prepared.dataset.digest()}
        lineage = promotion.lineage(choice.taken, sweep.id, data, sweep.champion, spec.objective)
        self.stop.commit()
        leases.renew(registry, lease, self.settings.lease_seconds)
        return promotion.enter(registry, candidate, to, lineage, sweep.champion, self.who)

    def _check_room(self, spec: SweepSpec) -> None:
        """Say so where no node has room for a trial; a cluster of the user's own may still grow."""
        resources = ray.cluster_resources()
        for key, name, wanted in (
            ("cpus", "CPU", spec.resources.cpus),
            ("gpus", "GPU", spec.resources.gpus or 0),
            ("memory_gb", "memory", (spec.resources.memory_gb or 0) * 1e9),
        ):
            if wanted > resources.get(name, 0):
                unit, scale = ("GB of memory", 1e9) if name == "memory" else (f"{name}s", 1)
                what = (
                    f"a trial needs {wanted / scale:g} {unit}, and the Ray cluster has "
                    f"{resources.get(name, 0) / scale:.3g} in total"
                )
                if addresses.is_own(self.address):
                    raise InvalidInput(f"resources.{key}", what)
                self.console.print(f"{what}; waiting for a node with more to join", style="yellow")


@dataclass(frozen=True)
class Prepared:
    """The data of a sweep, dealt into splits, and what does not fit its constraints."""

    dataset: Dataset
    dealt: Splits
    misfits: Misfits
    notes: tuple[str, ...]
    """Notes for the user on these runs."""
    lanes: str | None = None
    """What is known of how much lanes gain."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Of groups, by the shape of their trials."""


def _prepared(spec: SweepSpec, settings: Settings, left: list[RunConfig] | None, *, here: bool) -> Prepared:
    """Load and deal; `left` are the configs that a sweep of the ledger has still to train, None of a new one.

    `here` says that they are trained on this machine.
    """
    dataset = datasets.load(spec.data, settings.data, settings.cache, settings.download_timeout)
    dealt = splits.split(dataset, spec.data)
    if left is None:
        _check_runs(spec, dealt, here=here)
    if spec.promote:
        candidate.check(dealt)
    configs = spec.configs if left is None else left  # a spec of another release may not make configs any more
    features.keep(configs, dealt.without_verdicts() if spec.promote else dealt)
    notes = (*dealt.notes, *requirements.notes(configs, dealt))
    prepared = Prepared(dataset, dealt, Misfits.of(spec.constraints, dealt), notes)
    if not here:  # the nodes of a cluster may have other processors
        return prepared
    table = LaneTable(settings.cache)
    told = table.measure(configs, spec.lanes, dealt)
    return replace(prepared, lanes=told, sizes=table.sizes(spec.lanes))


def _check_runs(spec: SweepSpec, dealt: Splits, *, here: bool) -> None:
    """Refuse what does not fit the data, or this machine."""
    for config in spec.configs:
        try:
            requirements.check(config, dealt, spec.objective)
            if here:
                memory.check(config, dealt, placing.at_once(spec.resources, spec.total))
        except InvalidInput as error:
            if error.field.startswith(("objective.", "data")):
                raise
            section = "space" if error.field in (spec.space or {}) else "runs" if spec.runs else "run"
            raise InvalidInput(f"{section}.{error.field}", error.problem) from None


def _check_settings(settings: Settings, who: str) -> None:
    """Refuse before hours of training what would fail after them."""
    names.check_text("--who", who, names.WHO)
    policy.load(settings.gates)
    if settings.signing_key is not None:
        signing.private_key(settings.signing_key)


def _check_writable(registry: Registry) -> None:
    """Raise Unavailable where a sweep cannot be recorded, or its checkpoints not stored."""
    if registry.database.read_only:
        raise Unavailable(f"the database {registry.database.name} is read-only, and a sweep is recorded in it")
    if registry.blobs.read_only:
        raise Unavailable(f"the storage {registry.settings.storage} is read-only, and checkpoints are stored in it")
    next(iter(registry.blobs.listing()), None)  # whether there is a bucket


def _ranked(registry: Registry, spec: SweepSpec, sweep: str) -> list[Ranked]:
    trials = ledger.trials(registry, sweep)
    ranked = outcome.rank(trials, spec.objective)
    if not ranked:
        problem = next((trial.problem for trial in trials if trial.problem), "none reported an epoch")
        raise TailorbirdError(f"no trial of {sweep} succeeded: {problem}")
    return ranked


def _plain(spec: SweepSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude_none=True)


def _leaves_precision(spec: SweepSpec) -> bool:
    return bool(spec.run.get("precision", "auto") == "auto")


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    return next((key for key in {**before, **now} if before.get(key) != now.get(key)), None)


@contextmanager
def _answered() -> Iterator[None]:
    """What went wrong in the writer is told as if it had gone wrong here."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, TailorbirdError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise Unavailable(f"the writer of the ledger does not answer: {str(error).partition(chr(10))[0]}") from None


@dataclass
class _Closing:
    promotion: Promotion | None = None


@contextmanager
def _closed(registry: Registry, lease: Lease) -> Iterator[_Closing]:
    """See to it that the ledger says how the sweep ended, however it did."""
    closing = _Closing()
    try:
        yield closing
    except KeyboardInterrupt:
        with suppress(Unavailable):  # nobody renews its lease, so it will be found abandoned
            ledger.end(registry, lease, "interrupted")
        raise Interrupted(
            f"sweep {lease.sweep} was interrupted and registered nothing; resume it with `tailorbird sweep --resume "
            f"{lease.sweep}`"
        ) from None
    except LeaseLost:
        raise
    except BaseException as error:
        with suppress(Unavailable):
            ledger.end(registry, lease, "failed", problem=str(error))
        raise
    registered = closing.promotion.version.number if closing.promotion else None
    patient(lambda: ledger.end(registry, lease, "finished", registered=registered))
