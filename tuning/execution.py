"""Executing a sweep on a connected Ray: it is created or adopted, searched, and its best trial is registered."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import ray
from rich.console import Console

from registry import aliases, leases, ledger
from registry.core import Registry
from registry.leases import Lease
from registry.ledger import Sweep
from tailorbird.errors import Interrupted, InvalidInput, LeaseLost, TailorbirdError, Unavailable
from tailorbird.settings import Settings
from training import memory, precision, requirements
from training.config import RunConfig
from training.datasets.dataset import Dataset
from training.features import Views
from training.splits import Splits
from tuning import addresses, cluster, finalists, outcome, placing, search, writer
from tuning import spec as specs
from tuning.heartbeat import Heartbeat
from tuning.lane_table import LaneTable
from tuning.misfits import Misfits
from tuning.outcome import Outcome, Promotion, Ranked
from tuning.parts import Promote
from tuning.patience import patient
from tuning.processor import processor
from tuning.progress import LiveTable
from tuning.spec import SweepSpec
from tuning.stop import Stop


@dataclass(frozen=True)
class Prepared:
    """The splits of a sweep's data, the inputs of its trials, and the configs that violate its constraints."""

    dataset: Dataset
    dealt: Splits
    views: Views
    misfits: Misfits
    notes: tuple[str, ...]
    """Notes for the user on these runs."""
    lanes: str | None = None
    """A note on the speed-up of lanes."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The sizes of groups, by the shape of their trials."""


def prepare(
    spec: SweepSpec, dataset: Dataset, dealt: Splits, left: list[RunConfig] | None, cache: Path, *, here: bool
) -> Prepared:
    """Check the splits against the spec, and compute the inputs of trials.

    `left` are the configs that a sweep of the ledger still has to train, None for a new sweep; `here` says that they
    are trained on this machine; `cache` stores the speed-up of lanes on it.
    """
    if left is None:
        _check_runs(spec, dealt, here=here)
    configs = spec.configs if left is None else left  # a spec of another release may no longer yield valid configs
    views = Views(dealt.without_verdicts() if spec.promote else dealt)
    for config in configs:  # features are computed here, before workers need them
        views.prepared(config)
    notes = (*dealt.notes, *requirements.notes(configs, dealt))
    prepared = Prepared(dataset, dealt, views, Misfits.of(spec.constraints, dealt), notes)
    if not here:  # the nodes of a cluster may have other processors
        return prepared
    table = LaneTable(cache)
    lanes = table.measure(configs, spec.lanes, dealt)
    return replace(prepared, lanes=lanes, sizes=table.sizes(spec.lanes))


@dataclass(frozen=True)
class Execution:
    """The user who executes a sweep, where it is recorded and shown, and on which cluster."""

    settings: Settings
    console: Console
    who: str
    address: str | None
    stop: Stop
    prepared: Prepared

    def run(self, registry: Registry, spec: SweepSpec, sweep: str, known: Sweep | None, folder: Path) -> Outcome:
        """Execute the sweep `known` to the ledger, or a new one; `folder` is for Tune's files."""
        self._check_room(spec)
        timed = [f"the result depends on timing, because of {', '.join(spec.timed)}"] if spec.timed else []
        for note in (*self.prepared.notes, *timed):
            self.console.print(note, style="yellow", soft_wrap=True)
        if self.prepared.lanes:
            self.console.print(self.prepared.lanes, soft_wrap=True)
        if known is None:
            spec = self._settled(spec)
        return self._held_to_the_end(registry, self._held(registry, spec, sweep, known), spec, folder)

    def _held(self, registry: Registry, spec: SweepSpec, sweep: str, known: Sweep | None) -> Lease:
        """Create a sweep, or adopt one whose process is gone."""
        if known is not None:
            self.console.print(f"resuming {sweep}")
            return leases.take(registry, sweep, self.settings.lease_seconds, self.who, expect=known.holding)
        champion = aliases.current(registry, spec.promote.model, spec.promote.alias) if spec.promote else None
        return ledger.begin(
            registry, sweep, spec.plain(), search.suggest(spec, [], self.prepared.misfits, self.prepared.sizes),
            champion, self.who, processor=processor(), seconds=self.settings.lease_seconds,
        )  # fmt: skip

    def _settled(self, spec: SweepSpec) -> SweepSpec:
        """The spec with defaults resolved by data and processor, which stay the same wherever it is resumed."""
        if not spec.leaves_precision:
            return spec
        dealt, first = self.prepared.dealt, spec.configs[0].model_copy(update={"precision": "auto"})
        self.console.print(precision.note(first, dealt))
        return specs.stored(
            spec.plain() | {"run": {**spec.run, "precision": precision.settled(first, dealt).precision}}
        )

    def _held_to_the_end(self, registry: Registry, lease: Lease, spec: SweepSpec, folder: Path) -> Outcome:
        table = LiveTable(spec, self.console)
        with (
            _closed(registry, lease) as closing,
            Heartbeat(registry, lease, spec, table, self.settings.lease_seconds, self.stop.cancel) as heartbeat,
        ):
            with table, self.stop.searching():
                searched = self._search(lease, spec, folder)
                heartbeat.check()
                patient(heartbeat.show)
            if not searched:
                raise TailorbirdError(
                    f"Ray Tune gave up before all trials of {lease.sweep} were trained; resume it with "
                    f"`tailorbird sweep --resume {lease.sweep}`"
                )
            ranked = patient(lambda: outcome.ranked(registry, spec, lease.sweep))
            if not spec.promote:
                self.stop.commit()
                return Outcome(lease.sweep, ranked, None)
            with cluster.leaving():
                closing.promotion = self._promoted(registry, lease, spec, spec.promote, ranked)
        return Outcome(lease.sweep, ranked, closing.promotion)

    def _search(self, lease: Lease, spec: SweepSpec, folder: Path) -> bool:
        """Train its trials; returns whether all that could be trained is."""
        book = writer.start(self.settings, lease, spec.plain(), self.prepared.misfits, self.prepared.sizes)
        searched = placing.place(spec, self.prepared.views, book, folder, addresses.is_own(self.address))
        with _answered():
            ray.get(book.check.remote())
            if limit := ray.get(book.end.remote()):
                self.console.print(f"the search ended early, by {limit}", style="yellow")
        return searched

    def _promoted(
        self, registry: Registry, lease: Lease, spec: SweepSpec, to: Promote, ranked: list[Ranked]
    ) -> Promotion:
        from tuning import promotion  # imports packages for plots and export, which need not delay the first trial

        prepared, sweep = self.prepared, patient(lambda: ledger.sweep(registry, lease.sweep))
        choice = finalists.choose(registry, lease, ranked, spec, prepared.views)
        if choice.reason:
            self.console.print(choice.reason, soft_wrap=True)
        self.console.print(f"measuring and exporting trial {choice.taken.trial.number}")
        candidate = promotion.measure(registry, choice.taken, prepared.dealt)
        data = {**spec.data.model_dump(mode="json"), "sha256": prepared.dataset.digest()}
        lineage = promotion.lineage(choice.taken, sweep.id, data, sweep.champion, spec.objective)
        self.stop.commit()
        patient(lambda: leases.renew(registry, lease, self.settings.lease_seconds))
        return patient(lambda: promotion.enter(registry, lease, candidate, to, lineage, sweep.champion, self.who))

    def _check_room(self, spec: SweepSpec) -> None:
        """Note if no node has room for a trial; an existing cluster may still grow."""
        resources = ray.cluster_resources()
        for key, name, wanted in (
            ("cpus", "CPU", spec.resources.cpus),
            ("gpus", "GPU", spec.resources.gpus or 0),
            ("memory_gb", "memory", (spec.resources.memory_gb or 0) * 1e9),
        ):
            if wanted > resources.get(name, 0):
                unit, scale = ("GB of memory", 1e9) if name == "memory" else (name if wanted == 1 else f"{name}s", 1)
                what = (
                    f"a trial needs {wanted / scale:g} {unit}, and the Ray cluster has "
                    f"{resources.get(name, 0) / scale:.3g} in total"
                )
                if addresses.is_own(self.address):
                    raise InvalidInput(f"resources.{key}", what)
                self.console.print(f"{what}; waiting for a node with more to join", style="yellow")


def _check_runs(spec: SweepSpec, dealt: Splits, *, here: bool) -> None:
    """Refuse configs that do not fit the data, or this machine."""
    for config in spec.configs:
        try:
            requirements.check(config, dealt, spec.objective)
            if here:
                memory.check(config, dealt, placing.at_once(spec.resources, spec.most_at_once))
        except InvalidInput as error:
            if error.field.startswith(("objective.", "data")):
                raise
            section = "space" if error.field in (spec.space or {}) else "runs" if spec.runs else "run"
            raise InvalidInput(f"{section}.{error.field}", error.problem) from None


@contextmanager
def _answered() -> Iterator[None]:
    """Raise errors of the writer as if they had happened here."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from (None if isinstance(error.cause, TailorbirdError) else error)
    except ray.exceptions.RayError as error:
        raise Unavailable(f"the writer of the ledger does not answer: {str(error).partition(chr(10))[0]}") from None


@dataclass
class _Closing:
    promotion: Promotion | None = None


@contextmanager
def _closed(registry: Registry, lease: Lease) -> Iterator[_Closing]:
    """Make sure that the ledger says how the sweep ended."""
    closing = _Closing()
    try:
        yield closing
    except KeyboardInterrupt:
        with suppress(Unavailable):  # nobody renews its lease, so it will count as abandoned
            ledger.end(registry, lease, "interrupted")
        raise Interrupted(
            f"sweep {lease.sweep} was interrupted and registered nothing; resume it with `tailorbird sweep --resume "
            f"{lease.sweep}`"
        ) from None
    except LeaseLost:
        raise
    except Unavailable as outage:
        with suppress(Unavailable):
            ledger.end(registry, lease, "failed", problem=str(outage))
        advice = f"when it is available again, resume the sweep with `tailorbird sweep --resume {lease.sweep}`"
        raise Unavailable(f"{outage}; {advice}") from None
    except BaseException as error:
        with suppress(Unavailable):
            ledger.end(registry, lease, "failed", problem=str(error))
        raise
    registered = closing.promotion.version.number if closing.promotion else None
    patient(lambda: ledger.end(registry, lease, "finished", registered=registered))
