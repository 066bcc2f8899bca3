"""From pixels to the answer of `/predict`: label, confidence, probabilities and receipt of each image."""

import time
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.metrics import Metrics, VersionMetrics
from serving.model import Model
from serving.pixels import Pixels
from serving.receipts import Receipts
from tailorbird import bins

INLINE_SECONDS = 0.002
"""What may run in the event loop; the way through a thread and back costs a tenth of it."""


class Predictor:
    """Answers with one model; `most_inline` images may be answered in the event loop."""

    def __init__(self, model: Model, receipts: Receipts, metrics: Metrics) -> None:
        self._model = model
        self._receipts = receipts
        self._metrics = VersionMetrics(metrics, model.version, model.signature.classes)
        self.most_inline = int(INLINE_SECONDS / model.session.seconds)

    def answer(self, pixels: Pixels) -> bytes:
        """The JSON of the predictions for images [N, *shape]."""
        started = time.perf_counter()
        probabilities = self._model.session.run(pixels)
        self._metrics.inference.observe(time.perf_counter() - started)
        winners = probabilities.argmax(axis=1).tolist()
        content = {
            "model": self._model.version.model,
            "version": self._model.version.number,
            "predictions": [self._prediction(*one) for one in zip(winners, probabilities, strict=True)],
        }
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)

    def _prediction(self, index: int, row: NDArray[np.float32]) -> dict[str, Any]:
        classes = self._model.signature.classes
        # as a Python float: an edge compared with float32 would be rounded, and bins would differ from training's
        confidence_bin = bins.index(float(row[index]))
        self._metrics.predicted(index, confidence_bin)
        return {
            "label": classes[index],
            "index": index,
            "confidence": row[index],
            "probabilities": dict(zip(classes, row, strict=True)),
            "receipt": self._receipts.make(self._model.version.number, index, confidence_bin),
        }
