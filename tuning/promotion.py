"""Registers the best trial of the ledger as a version, and moves its alias."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from registry import aliases, requests, versions
from registry.core import Registry
from registry.leases import Lease
from registry.version import Version
from tailorbird import __version__, settings
from tailorbird.errors import Conflict, Corrupt, NotFound, Refused, Unavailable
from tailorbird.package import samples
from tailorbird.package.lineage import Data, Lineage
from training import backbones, candidate
from training.candidate import Candidate
from training.config import Objective, PretrainedConfig, RunConfig
from training.progress import Epoch
from training.splits import Splits
from tuning.outcome import Promotion, Ranked
from tuning.parts import Promote
from tuning.patience import patient


def measure(registry: Registry, best: Ranked, splits: Splits) -> Candidate:
    """Measure, export and draw the best trial's best epoch."""
    weights = patient(lambda: registry.blobs.get(best.best.checkpoint or ""))
    first = min(1, best.best.epoch)  # a probe belongs to a run that was started anew
    epochs = [
        Epoch.of({**report.metrics, "epoch": report.epoch}) for report in best.trial.reports if report.epoch >= first
    ]
    return candidate.make(RunConfig.model_validate(best.trial.config), splits, weights, epochs, best.best.epoch)


def enter(
    registry: Registry,
    lease: Lease,
    candidate: Candidate,
    to: Promote,
    lineage: Lineage,
    champion: int | None,
    who: str,
) -> Promotion:
    """Register a candidate, and move the alias if the gates pass and nobody else has moved it since the start.

    It is idempotent: the version of an earlier call is found again.
    Raises LeaseLost if another process has taken over the sweep, which registers it in its place.
    """
    version = _registered(registry, to.model, lineage)
    if version is None:
        files = {name: data for name, data in candidate.files.items() if to.samples or name != samples.FILE}
        version = versions.register(registry, to.model, files, candidate.export, lineage, who, lease)
    current = aliases.current(registry, to.model, to.alias)
    if current == version.number:  # a process that died had come this far
        return Promotion(version, to.alias, None)
    if current and versions.resolve(registry, f"{to.model}:{current}").lineage.sweep == lineage.sweep:
        champion = current  # moved by this sweep itself, before it was extended
    return Promotion(version, to.alias, _promote(registry, version, to.alias, champion, who))


def lineage(best: Ranked, sweep: str, data: Mapping[str, Any], champion: int | None, objective: Objective) -> Lineage:
    """Where a version came from."""
    model = RunConfig.model_validate(best.trial.config).model
    lineage = Lineage(
        sweep=sweep,
        trial=best.trial.number,
        epoch=best.best.epoch,
        precision=best.trial.config["precision"],
        data=Data.of(data, "lineage.data"),
        objective=objective.model_dump(),
        champion=champion,
        code=__version__,
    )
    if isinstance(model, PretrainedConfig):
        return lineage.model_copy(update={"backbone": backbones.provenance(model, settings.load())})
    return lineage


def _registered(registry: Registry, model: str, lineage: Lineage) -> Version | None:
    """The version that an earlier process registered from the same epoch of the same trial before it died."""
    with suppress(NotFound):  # if the model has no versions
        for version in versions.page(registry, model):
            known = version.lineage
            if (known.sweep, known.trial, known.epoch) == (lineage.sweep, lineage.trial, lineage.epoch):
                return version
    return None


def _promote(registry: Registry, version: Version, alias: str, champion: int | None, who: str) -> str | None:
    try:
        promotion = requests.Promotion(
            version.model,
            version.number,
            alias=alias,
            expect=champion or requests.UNSET,
            why=f"best of sweep {version.lineage.sweep}",
            who=who,
            automatic=True,
        )
        aliases.promote(registry, promotion)
    except (Conflict, Corrupt, Refused, Unavailable) as error:  # the version stays registered
        return str(error)
    return None
