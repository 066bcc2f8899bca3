"""A candidate: the result of one run, measured, exported and plotted, as the files of a package."""

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from tailorbird.errors import Corrupt, InvalidInput
from tailorbird.package import config as configuration
from tailorbird.package import curves, environment, samples
from tailorbird.package.heldout import Heldout
from tailorbird.package.measurements import Export
from tailorbird.package.record import encode
from tailorbird.package.samples import Samples
from tailorbird.package.signature import Signature
from training import estimation, evaluation, export, independence, plots, precision, registrable
from training.config import RunConfig
from training.export import ServedModule
from training.network import restored, whole
from training.progress import Epoch
from training.scores import THRESHOLD, Classification, Multilabel
from training.splits import Split, Splits

PACKAGES = ("torch", "torchvision", "ray", "onnx", "onnxruntime", "numpy", "safetensors", "scikit-learn", "tailorbird")
FILES = (
    configuration.FILE, "checkpoint.safetensors", environment.FILE, curves.FILE, "curves.png",
    "model.onnx", "signature.json", "baseline.json", "heldout.npy", "samples.npz", "estimator.json",
    "confusion.png", "figures.json", "thresholds.png",
)  # fmt: skip
"""All files that a run may write; some runs write fewer."""


@dataclass(frozen=True)
class RunResults:
    """The results of a run that makes no package: files, and figures by split and name."""

    files: dict[str, bytes]
    figures: dict[str, dict[str, float]]
    caution = None

    def record(self) -> dict[str, Any]:
        return {"figures": self.figures}


@dataclass(frozen=True)
class Candidate:
    """The package's files with what was measured of them."""

    files: dict[str, bytes]
    export: Export
    holdout: Classification
    test: Classification
    temperature: float

    @property
    def caution(self) -> str | None:
        """Notes for the user who trained it."""
        return self.export.caution

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """By split and name."""
        return {"holdout": self.holdout.figures(), "test": self.test.figures()}

    def record(self) -> dict[str, Any]:
        return {
            "holdout_accuracy": self.holdout.accuracy,
            "test_accuracy": self.test.accuracy,
            "figures": self.figures,
            "parity": self.export.parity.record(),
            "batches": self.export.batches.record() if self.export.batches else None,
        }


def make(config: RunConfig, splits: Splits, weights: bytes, epochs: Sequence[Epoch], best: int) -> Candidate:
    """Measure the weights of epoch `best` on the held-out and test splits, export them, and gather every file.

    The export is measured, since that is what is served. The test split of a registered model is measured nowhere else.
    """
    registrable.check(splits)
    weights = whole(config, splits, weights)
    served, model = exported(config, splits, weights)
    holdout = export.evaluate(model, splits.holdout, splits.kind)
    test = export.evaluate(model, splits.test, splits.kind)
    files = {
        **records(config, weights, epochs, best),
        "model.onnx": model,
        "signature.json": signature(splits, served.temperature).encode(),
        "baseline.json": evaluation.baseline(holdout, test, splits.classes).encode(),
        "heldout.npy": heldout(splits.holdout, holdout),
        "estimator.json": estimation.of_export(model, splits.holdout, holdout, splits.classes).encode(),
        "confusion.png": _confusion("held-out", holdout, splits),
    }
    if few := _samples(splits.holdout):
        files[samples.FILE] = few.encode()
    return Candidate(
        files=files,
        export=Export(
            parity=export.parity(served, holdout, splits.holdout),
            batches=independence.measure(served, model, holdout, splits.holdout),
            latency=export.latency(model, splits.holdout),
        ),
        holdout=holdout,
        test=test,
        temperature=served.temperature,
    )


def results(config: RunConfig, splits: Splits, weights: bytes, epochs: Sequence[Epoch], best: int) -> RunResults:
    """Measure the weights of epoch `best` of a run that is no candidate, on each split that was kept from training."""
    network = restored(config, splits, weights)
    temperature = evaluation.temperature(network, splits.validation, splits.kind)
    parts = {"validation": splits.validation, "holdout": splits.holdout, "test": splits.test}
    measured = {
        name: evaluation.of(network, part, splits.kind, temperature) for name, part in parts.items() if len(part)
    }
    figures = {name: scores.figures() for name, scores in measured.items()}
    files = {
        **records(config, weights, epochs, best),
        "figures.json": encode({"kind": splits.kind, "temperature": temperature, **figures}),
    }
    match measured["test"]:
        case Classification() as test:
            files["confusion.png"] = _confusion("test", test, splits)
        case Multilabel() as test:
            title = f"test: precision and recall of {len(test)} examples"
            files["thresholds.png"] = plots.precision_recall(
                test.probabilities, test.truth, splits.classes, THRESHOLD, title
            )
    return RunResults(files, figures)


def exported(config: RunConfig, splits: Splits, weights: bytes) -> tuple[ServedModule, bytes]:
    """The network of these weights as it is served, with its temperature, and the same as ONNX."""
    network = restored(config, splits, weights)
    served = ServedModule(network, splits.kind, evaluation.temperature(network, splits.validation, splits.kind))
    return served, export.to_onnx(served, splits.train.shape)


def signature(splits: Splits, temperature: float) -> Signature:
    """The inputs and outputs of the model; raises InvalidInput if the registry would not accept them."""
    try:
        return Signature.of(
            {
                "kind": "table" if _is_table(splits) else "image",
                "shape": splits.train.shape,
                "dtype": str(splits.train.inputs.dtype),
                "classes": splits.classes,
                "columns": splits.columns,
                "depth": splits.depth,
                "ground": splits.ground,
                "objective": splits.kind,
                "temperature": temperature,
            }
        )
    except Corrupt as error:
        raise InvalidInput("data", str(error)) from None


def heldout(split: Split, evaluated: Classification) -> bytes:
    """`heldout.npy`: the held-out examples with the model's answers."""
    labels, probabilities = split.targets.astype(np.int32), evaluated.probabilities.astype(np.float32)
    return Heldout(split.ids, probabilities, labels).encode()


def _samples(split: Split) -> Samples:
    labels = split.targets.astype(np.int32)
    chosen = samples.choose(labels, math.prod(split.shape) * split.inputs.dtype.itemsize)
    return Samples(split.at(chosen), labels[chosen])


def surroundings() -> list[str]:
    """Python, the machine and the packages that affect the weights, one per line."""
    lines = [f"python=={platform.python_version()}", f"machine: {platform.platform()}"]
    if flags := precision.instructions():
        lines.append(f"cpu flags: {' '.join(flags)}")
    lines += [f"{name}=={metadata.version(name)}" for name in PACKAGES if _installed(name)]
    return lines


def records(config: RunConfig, weights: bytes, epochs: Sequence[Epoch], best: int) -> dict[str, bytes]:
    """The files that every run writes, even one that diverged after epoch `best`."""
    return {
        configuration.FILE: configuration.encode(config.model_dump(mode="json")),
        "checkpoint.safetensors": weights,
        environment.FILE: environment.encode(surroundings()),
        curves.FILE: curves.write([curves.Epoch.of(epoch.record(), curves.FILE) for epoch in epochs]),
        "curves.png": plots.curves(epochs, best),
    }


def _is_table(splits: Splits) -> bool:
    return len(splits.train.shape) == 1


def _confusion(name: str, evaluated: Classification, splits: Splits) -> bytes:
    of = "rows" if _is_table(splits) else "images"
    title = f"{name} accuracy {evaluated.accuracy:.2%} of {len(evaluated)} {of}"
    return plots.confusion(evaluated.confusion(), splits.classes, title)


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False
