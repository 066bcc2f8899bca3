"""A model in ONNX Runtime, on one thread: parallelism comes from worker processes."""

import time

import numpy as np
from numpy.typing import NDArray

from serving.examples import Examples
from tailorbird import onnx
from tailorbird.errors import Corrupt
from tailorbird.package.signature import Signature

MOST_AT_ONCE = 256
"""Examples in one run; more would only cost memory."""

WARM_UP_RUNS = 5
WARM_UP_BATCH = 32


class Session:
    """Runs one `model.onnx`; thread-safe. `seconds` is the time of one example."""

    def __init__(self, model: bytes, signature: Signature) -> None:
        """Open and warm up; raises Corrupt if the model cannot be opened or does not match its signature."""
        self._classes = len(signature.classes)
        try:
            self._session = onnx.session(model)
            self._input = self._session.get_inputs()[0].name
            self.seconds, self._seconds_more = self._warm_up(signature)
        except Corrupt:
            raise
        except Exception as error:  # ONNX Runtime's exceptions have no other base
            raise Corrupt(f"model.onnx does not run: {error}") from None

    def run(self, examples: Examples) -> NDArray[np.float32]:
        """The probabilities [N, classes] of examples [N, *shape]."""
        if len(examples) <= MOST_AT_ONCE:
            return self._run(examples)
        parts = [self._run(examples[start : start + MOST_AT_ONCE]) for start in range(0, len(examples), MOST_AT_ONCE)]
        return np.concatenate(parts)

    def estimate(self, count: int) -> float:
        """The estimated seconds for `count` examples, from the warm-up."""
        return self.seconds + (count - 1) * self._seconds_more

    def _run(self, examples: Examples) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = self._session.run(["probabilities"], {self._input: examples})[0]
        return (
            probabilities if probabilities.shape[1] > 1 else np.concatenate((1 - probabilities, probabilities), axis=1)
        )

    def _warm_up(self, signature: Signature) -> tuple[float, float]:
        """The seconds of one example, and of each further one in a batch."""
        low, high = (np.full((1, *signature.shape), value, signature.dtype) for value in _extremes(signature))
        for examples in (low, high):
            probabilities = self.run(examples)
            if probabilities.shape != (1, self._classes) or not np.isfinite(probabilities).all():
                raise Corrupt(f"model.onnx does not give {self._classes} probabilities for an example")
        seconds = min(self._seconds(high) for _ in range(WARM_UP_RUNS))
        batch = high.repeat(WARM_UP_BATCH, axis=0)
        many = min(self._seconds(batch) for _ in range(2))
        return seconds, max(0.0, many - seconds) / (WARM_UP_BATCH - 1)

    def _seconds(self, examples: Examples) -> float:
        started = time.perf_counter()
        self.run(examples)
        return time.perf_counter() - started


def _extremes(signature: Signature) -> tuple[int, int]:
    return (0, 255) if signature.kind == "image" else (0, 1)
