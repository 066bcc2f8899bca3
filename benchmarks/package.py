"""Packages that the registry is measured with: of ten files and of any size, without a training."""

import json
from pathlib import Path

import numpy as np

from tailorbird.package import heldout
from tailorbird.package.baseline import Baseline, Score
from tailorbird.package.heldout import Heldout
from tailorbird.package.measurements import Export, Parity
from tailorbird.package.signature import Signature

IMAGES = 5000
CLASSES = tuple(f"class {number}" for number in range(10))
RANDOM = np.random.default_rng(0)
EXPORT = Export(parity=Parity(agreement=1.0, max_difference=3e-7, samples=IMAGES))
SIGNATURE = Signature(
    kind="image", shape=(28, 28), dtype="uint8", classes=CLASSES, objective="multiclass", temperature=1.0
)


def write(folder: Path, large: int = 320_000) -> Path:
    """A package as training makes it, of random bytes where the registry looks at no more than their sums."""
    files = {
        "model.onnx": RANDOM.bytes(large),
        "checkpoint.safetensors": RANDOM.bytes(large),
        "curves.png": RANDOM.bytes(30_000),
        "confusion.png": RANDOM.bytes(30_000),
        "curves.json": json.dumps(RANDOM.random(50).tolist()).encode(),
        "config.yaml": b"epochs: 5\n" * 20,
        "environment.txt": b"package==1.0\n" * 20,
        Signature.file: SIGNATURE.encode(),
        **_judged(),
    }
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def _judged() -> dict[str, bytes]:
    """A model that is wrong on 8% of the images, as every other is, and on 2% of its own."""
    size = len(CLASSES)
    ids = np.random.default_rng(0).integers(0, 256, (IMAGES, 16), np.uint8)  # the same images for all
    labels = np.arange(IMAGES) % size
    answers = labels.copy()
    shared, own = int(0.08 * IMAGES), int(0.02 * IMAGES)
    answers[np.concatenate([np.arange(shared), shared + RANDOM.choice(IMAGES - shared, own, replace=False)])] += 1
    answers %= size
    scores = RANDOM.random((IMAGES, size))
    scores[np.arange(IMAGES), answers] += 5
    probabilities = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    confusion = np.bincount(size * labels + answers, minlength=size**2).reshape(size, size)
    baseline = Baseline(
        accuracy=float(np.mean(answers == labels)),
        standard_error=0.004,
        samples=IMAGES,
        confusion=confusion.tolist(),
        bins={},
        test=Score(accuracy=0.9, samples=10_000),
    )
    return {
        heldout.FILE: Heldout(ids, probabilities, labels.astype(np.int32)).encode(),
        Baseline.file: baseline.encode(),
    }
