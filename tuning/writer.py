"""The one writer of a sweep's ledger: an actor on the driver's node, which has the database and the store."""

from typing import Any

import ray

from registry import ledger
from registry.core import Registry
from registry.ledger import Report
from tailorbird.settings import Settings


class LedgerWriter:
    """Every method returns after its rows are committed; a checkpoint is stored before the row that names it."""

    def __init__(self, settings: Settings, sweep: str) -> None:
        self._registry = Registry(settings)
        self._sweep = sweep

    def begin(self, spec: dict[str, Any], configs: list[dict[str, Any]], champion: int | None, who: str) -> None:
        ledger.begin(self._registry, self._sweep, spec, configs, champion, who)

    def report(self, trial: int, epoch: int, metrics: dict[str, float], weights: bytes | None, last: bool) -> None:
        """Enter what a trial measured, with its weights where they are its best so far."""
        checkpoint = None if weights is None else self._registry.blobs.put(weights)
        ledger.report(self._registry, self._sweep, trial, Report(epoch, metrics, checkpoint))
        if last:
            ledger.set_trial(self._registry, self._sweep, trial, "finished")

    def set_trial(self, trial: int, status: str, problem: str | None = None) -> None:
        ledger.set_trial(self._registry, self._sweep, trial, status, problem)

    def end(self, status: str, registered: int | None = None, problem: str | None = None) -> None:
        """Close the sweep and the database; the actor is of no use afterwards."""
        ledger.end(self._registry, self._sweep, status, registered=registered, problem=problem)
        self._registry.close()


def start(settings: Settings, sweep: str) -> Any:
    """Start the actor on this node and return its handle."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return ray.remote(LedgerWriter).options(num_cpus=0, scheduling_strategy=here).remote(settings, sweep)
