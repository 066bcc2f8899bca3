"""Estimates of the accuracy of a worker's last predictions, once a minute, off the event loop."""

import asyncio
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.endpoint import Endpoint, Served
from tailorbird.drift import cells, judgement, transport
from tailorbird.drift.judgement import Known, Observed

logger = logging.getLogger(__name__)

SECONDS = 60
LEAST = 200
"""The fewest predictions for an estimate."""


def observed(known: Known, rows: NDArray[np.float32]) -> Observed:
    """The last answers [N, classes] for the estimates, with the one that needs all their probabilities."""
    none = np.zeros_like(known.count)
    if len(rows) < LEAST:
        return Observed(none, none, none)
    predicted = rows.argmax(1)
    counts = cells.tally(predicted, rows[np.arange(len(rows)), predicted].astype(np.float64), len(known.classes))
    steady = None
    if known.estimator is not None and len(rows) >= transport.ANSWERS:
        steady = transport.accuracy(rows, known.estimator.mix)
    return Observed(counts, none, none, mix_steady=steady)


class Monitor:
    """Belongs to one worker; sets a gauge for each estimate, labelled by its assumption."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def run(self) -> None:
        """Estimate every minute until cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            try:
                await self._endpoint.pools.metrics.run(self.estimate)
            except Exception:  # predictions continue whatever happens here
                logger.exception("the accuracy of the last answers could not be estimated")

    def estimate(self) -> None:
        """Set the gauges of the served version; blocks."""
        served = self._endpoint.current
        if served is None:
            return
        version, estimates = served.version, _estimates(served)
        if self._endpoint.current is not served:
            return  # it was replaced meanwhile
        for assumes, value in estimates.items():
            if value is not None:
                self._endpoint.metrics.estimated_accuracy.labels(version.model, version.number, assumes).set(value)


def _estimates(served: Served) -> dict[str, Any]:
    known = served.model.known
    return judgement.estimate(known, observed(known, served.predictor.recent.rows()))
