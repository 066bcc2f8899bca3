"""Answers `/predict` with one version: inference, labelling, encoding."""

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.encoding import Encoding
from serving.examples import Examples
from serving.labelling import Labels, label
from serving.metrics import Metrics, VersionMetrics
from serving.model import Model
from serving.receipts import Receipts
from serving.recent import Recent

INLINE_SECONDS = 0.001
"""The seconds of the longest work in the event loop; handing it to a thread costs a tenth of that."""


class Predicted(NamedTuple):
    """The JSON of a response, and the predictions and receipts in it."""

    body: bytes
    probabilities: NDArray[np.float32]
    labels: Labels
    receipts: list[str]


class Predictor:
    """Exists as long as its version is served; up to `most_inline` examples may be answered in the event loop."""

    def __init__(self, model: Model, receipts: Receipts, metrics: Metrics) -> None:
        self.model = model
        self._receipts = receipts
        self._metrics = VersionMetrics(metrics, model.version, model.signature.classes)
        self._encoding = Encoding(model.version, model.signature.classes)
        self.most_inline = _most_inline(model)
        self.recent = Recent(len(model.signature.classes))

    def answer(self, examples: Examples) -> Predicted:
        """The predictions for examples [N, …], counted; raises Problem 422 if an answer is NaN."""
        predicted = self.predict(examples)
        self.count(predicted)
        return predicted

    def predict(self, examples: Examples) -> Predicted:
        """The same without counting: the waiting request may give up."""
        probabilities = self.infer(examples)
        labels = label(probabilities)
        receipts = self._receipts.make(self.model.version.number, labels.classes, labels.bins)
        body = self._encoding.encode(labels.classes, probabilities, receipts)
        return Predicted(body, probabilities, labels, receipts)

    def count(self, predicted: Predicted) -> None:
        """Count the predictions of a response."""
        self.recent.add(predicted.probabilities)
        self._metrics.predicted(predicted.labels.cells)

    def infer(self, examples: Examples) -> NDArray[np.float32]:
        """The probabilities [N, classes], timed."""
        started = time.perf_counter()
        probabilities = self.model.session.run(examples)
        self._metrics.inference.observe(time.perf_counter() - started)
        return probabilities

    def label(self, examples: Examples) -> Labels:
        """The labels of `answer`, without receipts and not counted: for a challenger."""
        return label(self.infer(examples))


def _most_inline(model: Model) -> int:
    single, two = model.session.estimate(1), model.session.estimate(2)
    if single > INLINE_SECONDS:
        return 0
    return 1 + int(min((INLINE_SECONDS - single) / max(two - single, 1e-9), 1e6))
