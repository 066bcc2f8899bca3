"""The challenger: predicts for copies of answered requests, only for the metrics."""

import logging
import operator
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from registry.version import Version
from serving import receipts
from serving.examples import Examples
from serving.feedback import Judged
from serving.labelling import Labels
from serving.metrics import Metrics, shown
from serving.pools import Pool
from serving.predictor import Predictor
from tailorbird import bins

logger = logging.getLogger(__name__)

MOST_WAITING = 16
"""The most copies of requests that wait; more are dropped."""
MOST_REMEMBERED = 10_000
"""The predictions of the challenger that a worker remembers for later labels."""


@dataclass(frozen=True)
class Answered:
    """A request that was answered by a version: its examples, their predictions and receipts."""

    version: Version
    examples: Examples
    labels: Labels
    receipts: Sequence[str]


class Shadow:
    """Passes copies of answered requests to a challenger, in a thread of its own; belongs to one event loop.

    Its accuracy is counted like that of the served version, from the labels that arrive at the same worker: with W
    workers a random 1/W of all.
    """

    def __init__(self, metrics: Metrics, pool: Pool) -> None:
        self.predictor: Predictor | None = None
        self._metrics = metrics
        self._pool = pool
        self._room = threading.BoundedSemaphore(MOST_WAITING)
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[Version, int, int]] = OrderedDict()

    def follow(self, answered: Answered) -> None:
        """Add a copy, or drop it if too many wait."""
        predictor = self.predictor
        if predictor is None:
            return
        if self._room.acquire(blocking=False):
            self._pool.submit(lambda: self._compare(answered, predictor))
        else:
            self._count(answered, predictor, "dropped", len(answered.receipts))

    def score(self, judged: Judged) -> None:
        """Count whether the challenger was right, if it predicted the example of this label."""
        with self._lock:
            answer = self._answers.pop(judged.receipt.id, None)
        if answer is not None:
            version, class_index, confidence_bin = answer
            predicted = shown(judged.classes, class_index)
            outcome = "correct" if judged.classes[class_index] == judged.label else "incorrect"
            labels = version.model, version.number, predicted, bins.LABELS[confidence_bin], outcome
            self._metrics.feedback.labels(*labels).inc()

    def _compare(self, answered: Answered, predictor: Predictor) -> None:
        try:
            labels = predictor.label(answered.examples)
        except Exception as error:  # of the runtime or the model: nobody waits for the result
            logger.error("the challenger %s did not answer: %s", predictor.model.version, error)
            self._count(answered, predictor, "failed", len(answered.receipts))
        else:
            agreed = sum(map(operator.eq, labels.classes, answered.labels.classes))
            self._count(answered, predictor, "agree", agreed)
            self._count(answered, predictor, "differ", len(labels.classes) - agreed)
            self._remember(answered.receipts, predictor.model.version, labels)
        finally:
            self._room.release()

    def _remember(self, texts: Sequence[str], version: Version, labels: Labels) -> None:
        with self._lock:
            for text, class_index, confidence_bin in zip(texts, labels.classes, labels.bins, strict=True):
                self._answers[receipts.identify(text)] = (version, class_index, confidence_bin)
            while len(self._answers) > MOST_REMEMBERED:
                self._answers.popitem(last=False)

    def _count(self, answered: Answered, predictor: Predictor, outcome: str, examples: int) -> None:
        served, challenger = answered.version, predictor.model.version
        if examples:
            child = self._metrics.challenger_agreement.labels(served.model, served.number, challenger.number, outcome)
            child.inc(examples)
