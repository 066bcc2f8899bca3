"""A model in ONNX Runtime, on one thread: the server's worker processes are what runs side by side."""

import time

import numpy as np
from numpy.typing import NDArray

from serving.pixels import Pixels
from tailorbird import onnx
from tailorbird.errors import Corrupt
from tailorbird.package.signature import Signature

MOST_AT_ONCE = 256
"""Images of one run; more would cost memory for nothing."""

WARM_UP_RUNS = 5
WARM_UP_BATCH = 32


class Session:
    """Runs one `model.onnx`; safe to call from many threads. `seconds` is what one image takes."""

    def __init__(self, model: bytes, signature: Signature) -> None:
        """Open and warm up; raises Corrupt where the model does not open or not do what its signature says."""
        self._classes = len(signature.classes)
        try:
            self._session = onnx.session(model)
            self._input = self._session.get_inputs()[0].name
            self.seconds, self._seconds_more = self._warm_up(signature)
        except Corrupt:
            raise
        except Exception as error:  # ONNX Runtime's own have no base but this
            raise Corrupt(f"model.onnx does not run: {error}") from None

    def run(self, pixels: Pixels) -> NDArray[np.float32]:
        """The probabilities [N, classes] of images [N, *shape]."""
        if len(pixels) <= MOST_AT_ONCE:
            return self._run(pixels)
        parts = [self._run(pixels[start : start + MOST_AT_ONCE]) for start in range(0, len(pixels), MOST_AT_ONCE)]
        return np.concatenate(parts)

    def estimate(self, count: int) -> float:
        """The seconds that so many images will take, by what the warm-up took."""
        return self.seconds + (count - 1) * self._seconds_more

    def _run(self, pixels: Pixels) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = self._session.run(["probabilities"], {self._input: pixels})[0]
        return (
            probabilities if probabilities.shape[1] > 1 else np.concatenate((1 - probabilities, probabilities), axis=1)
        )

    def _warm_up(self, signature: Signature) -> tuple[float, float]:
        """The seconds of one image, and of each further one in a batch."""
        black, white = (np.full((1, *signature.shape), value, np.uint8) for value in (0, 255))
        for pixels in (black, white):
            probabilities = self.run(pixels)
            if probabilities.shape != (1, self._classes) or not np.isfinite(probabilities).all():
                raise Corrupt(f"model.onnx does not give {self._classes} probabilities for an image")
        one = min(self._seconds(white) for _ in range(WARM_UP_RUNS))
        batch = white.repeat(WARM_UP_BATCH, axis=0)
        many = min(self._seconds(batch) for _ in range(2))
        return one, max(0.0, many - one) / (WARM_UP_BATCH - 1)

    def _seconds(self, pixels: Pixels) -> float:
        started = time.perf_counter()
        self.run(pixels)
        return time.perf_counter() - started
