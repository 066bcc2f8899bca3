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
"""Copies of requests that wait; more are dropped."""
MOST_REMEMBERED = 10_000
"""How many predictions of the challenger a worker remembers for later labels."""


@dataclass(frozen=True)
class Answered:
    """A request that was answered by a version: its examples, what was said of each, and the receipts."""

    version: Version
    examples: Examples
    labels: Labels
    receipts: Sequence[str]


class Shadow:
    """Gives copies of answered requests to a challenger, in a thread of its own; belongs to one event loop.

    Its accuracy is counted as that of what is served, by the labels that come back to the same worker: of W workers
    some 1/W of all, which ones being chance.
    """

    def __init__(self, metrics: Metrics, pool: Pool) -> None:
        self.predictor: Predictor | None = None
        self._metrics = metrics
        self._pool = pool
        self._room = threading.BoundedSemaphore(MOST_WAITING)
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[Version, int, int]] = OrderedDict()

    def follow(self, answered: Answered) -> None:
        """Take a copy, or drop it where too many wait."""
        predictor = self.predictor
        if predictor is None:
            return
        if self._room.acquire(blocking=False):
            self._pool.submit(lambda: self._compare(answered, predictor))
        else:
            self._count(answered, predictor, "dropped", len(answered.receipts))

    def score(self, judged: Judged) -> None:
        """Count whether the challenger was right, where it answered the example whose label came back."""
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
        except Exception as error:  # of the runtime or of the model: nobody waits for it
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
