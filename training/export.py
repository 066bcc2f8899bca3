"""ONNX export: uint8 pixels in, logits and calibrated probabilities out, in one file; and its parity with torch."""

import copy
import io
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from training.evaluation import Evaluation, Floats
from training.loop import EVALUATION_BATCH, as_tensor
from training.splits import Split

OPSET = 17
THREADS = 1
"""Of ONNX Runtime, for whatever is measured of an export."""
LATENCY_RUNS, LATENCY_SECONDS = 200, 1.0
WARM_UP_RUNS, WARM_UP_SECONDS = 20, 0.2


@dataclass(frozen=True)
class Parity:
    """How an export compares with torch on real images."""

    agreement: float
    max_difference: float
    samples: int

    def record(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Latency:
    """Milliseconds that an export takes for one image: the median and the 99th percentile of so many runs."""

    p50_ms: float
    p99_ms: float
    runs: int
    threads: int

    def record(self) -> dict[str, float]:
        return asdict(self)


class Served(nn.Module):
    """A network as it is served: from pixels to logits and softmax(logits / temperature)."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().eval()
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(pixels)
        return logits, torch.softmax(logits / self.temperature, dim=1)


def to_onnx(network: nn.Module, shape: Sequence[int], temperature: float) -> bytes:
    """Export a network for uint8 pixels [N, *shape] with N free."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        torch.onnx.export(
            Served(network, temperature),
            (torch.zeros((1, *shape), dtype=torch.uint8),),
            buffer,  # type: ignore[arg-type]  # its annotation forgets the buffers that it documents
            input_names=["pixels"],
            output_names=["logits", "probabilities"],
            dynamic_axes={name: {0: "batch"} for name in ("pixels", "logits", "probabilities")},
            opset_version=OPSET,
            dynamo=False,  # ten times quicker here, and always one file
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def evaluate(model: bytes, split: Split) -> Evaluation:
    """Run an export over a split with ONNX Runtime, as it will be served."""
    session = _session(model)
    batches = np.array_split(split.images, max(1, len(split) // EVALUATION_BATCH))
    return Evaluation(np.concatenate([session.run(["probabilities"], {"pixels": b})[0] for b in batches]), split.labels)


def parity(network: nn.Module, temperature: float, exported: Evaluation, split: Split) -> Parity:
    """Compare an export's probabilities on the whole split with those of the network it was made from."""
    served = Served(network, temperature)
    with torch.inference_mode():
        batches = as_tensor(split.images).split(EVALUATION_BATCH)
        expected: Floats = torch.cat([served(batch)[1] for batch in batches]).numpy()
    return Parity(
        agreement=float((expected.argmax(1) == exported.predicted).mean()),
        max_difference=float(np.abs(expected - exported.probabilities).max()),
        samples=len(split),
    )


def latency(model: bytes, split: Split) -> Latency:
    """Time an export on single images of a split, on one CPU thread: 200 runs after a warm-up, at most a second."""
    session = _session(model)
    _timed(session, split, WARM_UP_RUNS, WARM_UP_SECONDS)
    taken = _timed(session, split, LATENCY_RUNS, LATENCY_SECONDS)
    p50, p99 = np.percentile(taken, (50, 99)).tolist()
    return Latency(p50_ms=p50, p99_ms=p99, runs=len(taken), threads=THREADS)


def _timed(session: Any, split: Split, runs: int, seconds: float) -> list[float]:
    """Milliseconds of each run, one at the least."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while True:
        place = len(taken) % len(split)
        image = split.images[place : place + 1]
        start = time.perf_counter()
        session.run(["probabilities"], {"pixels": image})
        taken.append(1000 * (time.perf_counter() - start))
        if len(taken) == runs or time.perf_counter() >= end:
            return taken


def _session(model: bytes) -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at import, which else makes a device id in HOME
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = THREADS
    options.log_severity_level = 3  # errors alone
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
