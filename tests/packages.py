"""Whole packages for tests that read them as people do: small, and every file is what its name says."""

import io
import json

import numpy as np
import yaml
from PIL import Image

from registry import packages, versions
from tailorbird.package.baseline import Score
from tailorbird.package.lineage import Lineage
from tailorbird.package.manifest import About
from tailorbird.package.measurements import Export, Latency, Measurements, Parity

CLASSES = ("cat", "dog", "owl")
CONFIG = {"model": {"family": "mlp", "depth": 2}, "optimizer": {"lr": 0.01}, "epochs": 2}
DATA = {"name": "pets", "sha256": "ab" * 32, "validation": 0.1, "split_seed": 0}
IMAGES = {
    "kind": "image", "shape": [28, 28], "dtype": "uint8", "classes": ["cat", "dog"], "columns": None,
    "objective": "binary", "temperature": 1.5,
}  # fmt: skip
ROWS = {**IMAGES, "kind": "table", "shape": [2], "dtype": "float64"}
PARITY = Parity(agreement=1.0, max_difference=3e-7, samples=60)
EXPORT = Export(parity=PARITY, latency=Latency(p50_ms=0.5, p99_ms=1.25, runs=100, threads=1))

ABOUT = About(
    model="fashion",
    created="2026-01-02T03:04:05.000000Z",
    evidence=Measurements(
        accuracy=0.9, samples=1000, standard_error=0.01, test=Score(accuracy=0.8, samples=50), parity=PARITY
    ),
    lineage=Lineage(sweep="fashion-1"),
)


def saved(records):
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=True)
    return buffer.getvalue()


def records(images=40, classes=2):
    fields = [("id", "u1", (16,)), ("label", "<i4"), ("probabilities", "<f4", (classes,))]
    made = np.zeros(images, fields)
    made["id"][:, 0] = np.arange(images)
    made["probabilities"][np.arange(images), np.arange(images) // 30] = 1  # of 40, ten get the other class
    return made


def heldout(answers, labels, classes, confidence, *, first=0):
    """`heldout.npy` of as many images as there are answers; the first image has the id `first`."""
    fields = [("id", "u1", (16,)), ("label", "<i4"), ("probabilities", "<f4", (len(classes),))]
    records = np.zeros(len(answers), fields)
    records["id"][:, :4] = np.arange(first, first + len(answers), dtype="<u4").view("u1").reshape(-1, 4)
    records["probabilities"] = (1 - confidence) / (len(classes) - 1)
    records["probabilities"][np.arange(len(answers)), answers] = confidence
    records["label"] = labels
    return saved(records)


def files(classes=CLASSES, confusion=((18, 2, 0), (1, 19, 0), (3, 4, 13)), *, bins=None, first=0, **more):
    """A package with this confusion on the held-out images; `more` replaces whole files, named with `_` for `.`."""
    cells = [(row, column) for row, counts in enumerate(confusion) for column, n in enumerate(counts) for _ in range(n)]
    labels, answers = (np.array(part) for part in zip(*cells, strict=True))
    accuracy = float((labels == answers).mean())
    confidence = min(accuracy + 0.02, 0.98)
    baseline = {
        "accuracy": accuracy,
        "standard_error": 0.05,
        "samples": len(cells),
        "calibration_error": 0.02,
        "confusion": confusion,
        "bins": {classes[0]: {"0.9": {"count": 40, "correct": 36}}} if bins is None else bins,
        "test": {"accuracy": accuracy, "samples": 200},
    }
    signature = {
        "kind": "image", "shape": [28, 28], "dtype": "uint8", "classes": classes, "columns": None,
        "objective": "multiclass", "temperature": 1.5,
    }  # fmt: skip
    curves = [{"epoch": epoch, "train_loss": 1 / epoch, "val_accuracy": 0.4 * epoch} for epoch in (1, 2)]
    changes = {
        **dict.fromkeys(packages.REQUIRED, b"x"),
        "signature.json": json.dumps(signature).encode(),
        "baseline.json": json.dumps(baseline).encode(),
        "heldout.npy": heldout(answers, labels, classes, confidence, first=first),
        "config.yaml": yaml.safe_dump(CONFIG, sort_keys=False).encode(),
        "environment.txt": b"python==3.11.7\nmachine: Linux-6\ntorch==2.13.0\n",
        "curves.json": json.dumps(curves).encode(),
        "curves.png": picture("red"),
        "confusion.png": picture("blue"),
    }
    return changes | {name.replace("_", "."): data for name, data in more.items()}


def picture(color):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(buffer, "PNG")
    return buffer.getvalue()


def register(registry, model="pets", *, export=EXPORT, lineage=None, **made):
    known = {"sweep": "pets-1", "trial": 3, "epoch": 2, "data": DATA, "champion": None, "code": "0.1.0"}
    return versions.register(registry, model, files(**made), export, Lineage(**known | (lineage or {})), who="ada")
