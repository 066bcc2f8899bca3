"""A model in ONNX Runtime, on one thread: the server's worker processes are what runs side by side."""

import os
import time
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from serving.pixels import Pixels
from serving.signature import Signature
from tailorbird.errors import Corrupt

MOST_AT_ONCE = 256
"""Images of one run; more would cost memory for nothing."""

WARM_UP_RUNS = 5


class Session:
    """Runs one `model.onnx`; safe to call from many threads. `seconds` is what one image takes."""

    def __init__(self, model: bytes, signature: Signature) -> None:
        """Open and warm up; raises Corrupt where the model does not open or not do what its signature says."""
        self._classes = len(signature.classes)
        onnxruntime = _import()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
            self.seconds = self._warm_up(signature)
        except Corrupt:
            raise
        except Exception as error:  # ONNX Runtime's own have no base but this
            raise Corrupt(f"model.onnx does not run: {error}") from None

    def run(self, pixels: Pixels) -> NDArray[np.float32]:
        """The probabilities [N, classes] of images [N, *shape]."""
        parts = [self._run(pixels[start : start + MOST_AT_ONCE]) for start in range(0, len(pixels), MOST_AT_ONCE)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, pixels: Pixels) -> NDArray[np.float32]:
        (probabilities,) = self._session.run(["probabilities"], {self._input: pixels})
        found: NDArray[np.float32] = probabilities
        return found if found.shape[1] > 1 else np.concatenate((1 - found, found), axis=1)

    def _warm_up(self, signature: Signature) -> float:
        black, white = (np.full((1, *signature.shape), value, np.uint8) for value in (0, 255))
        for pixels in (black, white):
            found = self.run(pixels)
            if found.shape != (1, self._classes) or not np.isfinite(found).all():
                raise Corrupt(f"model.onnx does not give {self._classes} probabilities for an image")
        return min(self._seconds(white) for _ in range(WARM_UP_RUNS))

    def _seconds(self, pixels: Pixels) -> float:
        started = time.perf_counter()
        self.run(pixels)
        return time.perf_counter() - started


def _import() -> ModuleType:
    # from its import on it makes a device id and reports to Microsoft (since 1.29), unless it finds this
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime  # type: ignore[no-any-return]
