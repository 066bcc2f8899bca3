"""From the ledger's best trial to a version of the registry, and to its alias."""

from collections.abc import Mapping
from typing import Any

from registry import aliases, requests, versions
from registry.core import Registry
from registry.versions import Version
from tailorbird import __version__
from tailorbird.errors import Conflict, Corrupt, Refused, Unavailable
from tailorbird.package.lineage import Data, Lineage
from training import candidate
from training.candidate import Candidate
from training.config import Objective, RunConfig
from training.progress import Epoch
from training.splits import Splits
from tuning.outcome import Promotion, Ranked
from tuning.spec import Promote


def measure(registry: Registry, best: Ranked, splits: Splits) -> Candidate:
    """Measure, export and draw the best trial's best epoch."""
    weights = registry.blobs.get(best.best.checkpoint or "")
    epochs = [Epoch.of({**one.metrics, "epoch": one.epoch}) for one in best.trial.reports]
    return candidate.make(RunConfig.model_validate(best.trial.config), splits, weights, epochs, best.best.epoch)


def enter(
    registry: Registry, made: Candidate, to: Promote, lineage: Lineage, champion: int | None, who: str
) -> Promotion:
    """Register a candidate, and move the alias if it is still where it was at the start and the gates pass."""
    version = versions.register(registry, to.model, made.files, made.export, lineage, who)
    return Promotion(version, to.alias, _promote(registry, version, to.alias, champion, who))


def lineage(best: Ranked, sweep: str, data: Mapping[str, Any], champion: int | None, objective: Objective) -> Lineage:
    """Where a version came from."""
    return Lineage(
        sweep=sweep,
        trial=best.trial.number,
        epoch=best.best.epoch,
        data=Data.of(data, "lineage.data"),
        objective=objective.model_dump(),
        champion=champion,
        code=__version__,
    )


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
    except (Conflict, Corrupt, Refused, Unavailable) as error:  # the version is registered all the same
        return str(error)
    return None
