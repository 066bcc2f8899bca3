"""ONNX export: from pixels or rows to logits and calibrated probabilities, in one file; and its parity with torch."""

import copy
import io
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from tailorbird.errors import InvalidInput
from tailorbird.onnx import THREADS, session
from tailorbird.package.measurements import Latency, Parity
from training import evaluation, objectives
from training.arrays import as_tensor
from training.config import Kind
from training.datasets import Inputs
from training.models import Denormalize, Normalize
from training.scores import Classification, Floats
from training.splits import Split

OPSET = 17
OUTPUTS = ["logits", "probabilities"]
LATENCY_RUNS, LATENCY_SECONDS = 200, 1.0
WARM_UP_RUNS, WARM_UP_SECONDS = 20, 0.2


class ServedModule(nn.Module):
    """A network as it is served, in fp32: from pixels or rows to its outputs and calibrated probabilities."""

    def __init__(self, network: nn.Module, kind: Kind, temperature: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu()
        for layer in self.network.children():
            if not isinstance(layer, Normalize | Denormalize):  # their statistics are float64
                layer.float()
        self.kind = kind
        self.temperature = temperature
        self.eval()  # all modules: the export restores the mode in which it finds them

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(inputs)
        return logits, objectives.probabilities(self.kind, logits, self.temperature)


def to_onnx(network: nn.Module, shape: Sequence[int], outputs: Sequence[str] = OUTPUTS) -> bytes:
    """Export for N inputs of `shape`, N free: uint8 `pixels` of images, float64 `rows` of tables.

    Raises InvalidInput if one of the user's own layers cannot be exported.
    """
    name, dtype = ("rows", torch.float64) if len(shape) == 1 else ("pixels", torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            torch.onnx.export(
                network,
                (torch.zeros((1, *shape), dtype=dtype),),
                buffer,  # type: ignore[arg-type]  # its annotation forgets the buffers that it documents
                input_names=[name],
                output_names=list(outputs),
                dynamic_axes={tensor: {0: "batch"} for tensor in (name, *outputs)},
                opset_version=OPSET,
                dynamo=False,  # ten times faster for such networks, and always one file
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise InvalidInput("model", f"cannot be exported to ONNX: {_first_line(error)}") from None
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model, full_check=True)
    exported = bytes(model.SerializeToString())
    try:
        opened = session(exported)
    except Exception as error:  # ONNX Runtime documents no exception types
        raise InvalidInput("model", f"ONNX Runtime cannot run its export: {_first_line(error)}") from None
    try:
        opened.run(outputs, {name: np.zeros((2, *shape), np.float64 if len(shape) == 1 else np.uint8)})
    except Exception as error:
        message = "its export accepts only one input at a time; a batch size is hard-coded, as by len(inputs)"
        raise InvalidInput("model", f"{message}: {_first_line(error)}") from None
    return exported


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0]


def evaluate(model: bytes, split: Split, kind: Kind) -> Classification:
    """Run an export over a split with ONNX Runtime, as it will be served."""
    logits, probabilities = answers(session(model), split, split.together)
    return evaluation.classification(kind, split.targets, logits, probabilities)


def answers(opened: Any, split: Split, size: int) -> tuple[Floats, Floats]:
    """Outputs [N, outputs] and probabilities [N, classes] of an open session, in batches of a size."""
    batches = [opened.run(OUTPUTS, _inputs(opened, batch)) for batch in split.batches(size)]
    logits, probabilities = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return logits, probabilities


def parity(served: ServedModule, exported: Classification, split: Split) -> Parity:
    """Compare an export's probabilities on the whole split with those of its network."""
    with torch.inference_mode():
        batches = [served(as_tensor(batch))[1] for batch in split.batches(split.together)]
    expected: Floats = torch.cat(batches).numpy()
    return Parity(
        agreement=float((expected.argmax(1) == exported.predicted).mean()),
        max_difference=float(np.abs(expected - exported.probabilities).max()),
        samples=len(split),
    )


def latency(model: bytes, split: Split) -> Latency:
    """Time an export on single examples of a split, on one CPU thread: 200 runs after a warm-up, at most a second."""
    opened = session(model)
    _timed(opened, split, WARM_UP_RUNS, WARM_UP_SECONDS)
    taken = _timed(opened, split, LATENCY_RUNS, LATENCY_SECONDS)
    p50, p99 = np.percentile(taken, (50, 99)).tolist()
    return Latency(p50_ms=p50, p99_ms=p99, runs=len(taken), threads=THREADS)


def _timed(opened: Any, split: Split, runs: int, seconds: float) -> list[float]:
    """Milliseconds of each run; at least one run."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while True:
        index = len(taken) % len(split)
        inputs = _inputs(opened, split.at(slice(index, index + 1)))
        start = time.perf_counter()
        opened.run(["probabilities"], inputs)
        taken.append(1000 * (time.perf_counter() - start))
        if len(taken) == runs or time.perf_counter() >= end:
            return taken


def _inputs(opened: Any, batch: Inputs) -> dict[str, Inputs]:
    return {opened.get_inputs()[0].name: batch}
