"""From the ledger's best trial to a version of the registry, and to its alias."""

from typing import Any

from registry import aliases, versions
from registry.core import Registry
from registry.ledger import Report
from registry.versions import Version
from tailorbird import __version__
from tailorbird.errors import Conflict, Refused
from training import candidate
from training.config import RunConfig
from training.loop import Epoch
from training.splits import Splits
from tuning.outcome import Promotion, Ranked
from tuning.spec import SweepSpec


def register_best(
    registry: Registry,
    spec: SweepSpec,
    sweep: str,
    best: Ranked,
    splits: Splits,
    data_digest: str,
    champion: int | None,
    who: str,
) -> Promotion:
    """Measure and export the best trial, register it, and move the alias if it is still where it was at the start."""
    if spec.promote is None:
        raise ValueError("this spec promotes nothing")
    weights = registry.blobs.get(best.best.checkpoint or "")
    epochs = [_epoch(report) for report in best.trial.reports]
    made = candidate.make(RunConfig.model_validate(best.trial.config), splits, weights, epochs, best.best.epoch)
    lineage: dict[str, Any] = {
        "sweep": sweep,
        "trial": best.trial.number,
        "epoch": best.best.epoch,
        "data": {**spec.data.model_dump(), "sha256": data_digest},
        "champion": champion,
        "code": __version__,
    }
    version = versions.register(registry, spec.promote.model, made.files, made.parity.record(), lineage, who)
    return Promotion(version, spec.promote.alias, _promote(registry, spec.promote.alias, version, sweep, champion, who))


def _promote(
    registry: Registry, alias: str, version: Version, sweep: str, champion: int | None, who: str
) -> str | None:
    try:
        aliases.promote(
            registry,
            version.model,
            version.number,
            alias=alias,
            expected=champion,
            why=f"best of sweep {sweep}",
            who=who,
        )
    except (Conflict, Refused) as error:
        return str(error)
    return None


def _epoch(report: Report) -> Epoch:
    nothing = {"val_loss": float("nan"), "val_accuracy": float("nan")}
    return Epoch(epoch=report.epoch, **{**nothing, **report.metrics})
