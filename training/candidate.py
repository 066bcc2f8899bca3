"""A candidate: what one run leaves behind, measured, exported and drawn, as the files of a package."""

import io
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import yaml
from torch import nn

from tailorbird.errors import InvalidInput
from training import checkpoint, evaluation, export, loop, plots
from training.config import RunConfig
from training.evaluation import Evaluation
from training.export import Latency, Parity
from training.loop import Epoch
from training.splits import Split, Splits

PACKAGES = ("torch", "torchvision", "ray", "onnx", "onnxruntime", "numpy", "safetensors", "scikit-learn", "tailorbird")


@dataclass(frozen=True)
class Candidate:
    """The package's files with what was measured of them."""

    files: dict[str, bytes]
    parity: Parity
    latency: Latency
    holdout: Evaluation
    test: Evaluation
    temperature: float


def check(splits: Splits) -> None:
    """Raise InvalidInput where a candidate of these splits could not be judged."""
    if not len(splits.holdout):
        raise InvalidInput("data.holdout", "must be above 0: a candidate and its export are judged on these images")


def make(config: RunConfig, splits: Splits, weights: bytes, epochs: Sequence[Epoch], best: int) -> Candidate:
    """Measure the weights of epoch `best` on the held-out and test splits, export them, and gather every file.

    This is the one place where test is measured. What is measured is the export, since that is what is served.
    """
    check(splits)
    network, temperature, model = exported(config, splits, weights)
    holdout, test = export.evaluate(model, splits.holdout), export.evaluate(model, splits.test)
    title = f"held-out accuracy {holdout.accuracy:.2%} of {len(holdout.labels)} images"
    files = {
        "model.onnx": model,
        "signature.json": _json(signature(splits, temperature)),
        "baseline.json": _json(evaluation.baseline(holdout, test, splits.classes)),
        "heldout.npy": heldout(splits.holdout, holdout),
        "config.yaml": yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).encode(),
        "checkpoint.safetensors": weights,
        "environment.txt": environment().encode(),
        "curves.json": _json([{"epoch": one.epoch, **one.metrics()} for one in epochs]),
        "curves.png": plots.curves(epochs, best),
        "confusion.png": plots.confusion(holdout.confusion(), splits.classes, title),
    }
    return Candidate(
        files=files,
        parity=export.parity(network, temperature, holdout, splits.holdout),
        latency=export.latency(model, splits.holdout),
        holdout=holdout,
        test=test,
        temperature=temperature,
    )


def exported(config: RunConfig, splits: Splits, weights: bytes) -> tuple[nn.Module, float, bytes]:
    """The network of these weights, its temperature, and both as ONNX."""
    network = loop.network(config, splits)
    checkpoint.restore(network, weights)
    temperature = evaluation.temperature(evaluation.logits(network, splits.validation), splits.validation.labels)
    return network, temperature, export.to_onnx(network, splits.train.images.shape[1:], temperature)


def signature(splits: Splits, temperature: float) -> dict[str, Any]:
    """`signature.json`: what goes in and what comes out."""
    return {
        "kind": "image",
        "shape": list(splits.train.images.shape[1:]),
        "dtype": "uint8",
        "classes": list(splits.classes),
        "columns": None,
        "objective": "multiclass",
        "temperature": temperature,
    }


def heldout(split: Split, evaluated: Evaluation) -> bytes:
    """`heldout.npy`: a record for each held-out image.

    It has the image's `id` (16 bytes), its `label` (int32, the index of its true class) and its `probabilities`
    (float32).
    """
    classes = evaluated.probabilities.shape[1]
    kind = np.dtype([("id", "u1", (split.ids.shape[1],)), ("label", "<i4"), ("probabilities", "<f4", (classes,))])
    records = np.empty(len(split), kind)
    records["id"], records["label"], records["probabilities"] = split.ids, split.labels, evaluated.probabilities
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=False)
    return buffer.getvalue()


def environment() -> str:
    """Python, machine and the packages that decide the weights, a line each."""
    versions = [f"{name}=={metadata.version(name)}" for name in PACKAGES if _installed(name)]
    return "\n".join([f"python=={platform.python_version()}", f"machine: {platform.platform()}", *versions]) + "\n"


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode()
