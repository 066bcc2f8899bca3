"""Packages that the registry is measured with: of ten files and of any size, without a training."""

from pathlib import Path

import numpy as np

from tailorbird import shares
from tailorbird.drift import cells
from tailorbird.package import config, curves, environment, heldout
from tailorbird.package.baseline import Baseline, Score
from tailorbird.package.curves import Epoch
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
        curves.FILE: curves.write([Epoch(epoch=epoch, train_loss=RANDOM.random()) for epoch in range(1, 51)]),
        config.FILE: config.encode({f"key {number}": number for number in range(20)}),
        environment.FILE: environment.encode(["package==1.0"] * 20),
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
    accuracy = float(np.mean(answers == labels))
    baseline = Baseline(
        accuracy=accuracy,
        standard_error=shares.standard_error(accuracy, IMAGES),
        samples=IMAGES,
        confusion=confusion.tolist(),
        bins=cells.binned(answers, probabilities.max(1), answers == labels, CLASSES),
        test=Score(accuracy=0.9, samples=10_000),
    )
    return {
        heldout.FILE: Heldout(ids, probabilities, labels.astype(np.int32)).encode(),
        Baseline.file: baseline.encode(),
    }
