"""A challenger answers what the served version has answered, for nobody to see but the metrics."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from registry.version import Version
from serving.examples import Examples
from serving.labelling import Labelled
from serving.metrics import Metrics
from serving.pools import Pool
from serving.predictor import Predictor

logger = logging.getLogger(__name__)

MOST_WAITING = 16
"""Copies of requests that wait; more are dropped."""


@dataclass(frozen=True)
class Answered:
    """A request that was answered by a version: its examples, and what was said of each."""

    version: Version
    examples: Examples
    labelled: Sequence[Labelled]


class Shadow:
    """Gives copies of answered requests to a challenger, in a thread of its own; belongs to one event loop."""

    def __init__(self, metrics: Metrics, pool: Pool) -> None:
        self.predictor: Predictor | None = None
        self._metrics = metrics
        self._pool = pool
        self._waiting = 0

    def follow(self, answered: Answered) -> None:
        """Take a copy, or drop it where too many wait."""
        predictor = self.predictor
        if predictor is None:
            return
        if self._waiting >= MOST_WAITING:
            self._count(answered, predictor, "dropped", len(answered.labelled))
            return
        self._waiting += 1
        self._pool.submit(lambda: self._compare(answered, predictor))

    def _compare(self, answered: Answered, predictor: Predictor) -> None:
        try:
            labelled = predictor.label(answered.examples)
        except Exception as error:  # of the runtime or of the model: nobody waits for it
            logger.error("the challenger %s did not answer: %s", predictor.model.version, error)
            self._count(answered, predictor, "failed", len(answered.labelled))
        else:
            agreed = sum(
                mine.class_index == theirs.class_index for mine, theirs in zip(labelled, answered.labelled, strict=True)
            )
            self._count(answered, predictor, "agree", agreed)
            self._count(answered, predictor, "differ", len(labelled) - agreed)
        finally:
            self._waiting -= 1

    def _count(self, answered: Answered, predictor: Predictor, outcome: str, examples: int) -> None:
        served, challenger = answered.version, predictor.model.version
        if examples:
            child = self._metrics.challenger_agreement.labels(served.model, served.number, challenger.number, outcome)
            child.inc(examples)
