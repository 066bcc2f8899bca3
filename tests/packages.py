"""Whole packages for tests that read them as people do: small, and every file is what its name says."""

import io
import json
from unittest import mock

import numpy as np
import yaml
from PIL import Image

from registry import packages, versions
from tailorbird import bins as levels
from tailorbird import shares
from tailorbird.drift import cells
from tailorbird.package.baseline import Baseline, Score
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

COLUMNS = {"evidence": ABOUT.evidence.record(), "lineage": ABOUT.lineage.record()}
"""Of the row of such a version."""

RECORDS = {"config.yaml": b"epochs: 1\n", "curves.json": b'[{"epoch": 1}]', "environment.txt": b"torch==2.13.0\n"}
"""Files of a package that no test looks at."""


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


def counted(probabilities, labels, classes):
    """The bins of a baseline with these answers."""
    answers = probabilities.argmax(1)
    counted = cells.binned(answers, probabilities.max(1), answers == labels, classes)
    return {name: {label: cell.record() for label, cell in of_class.items()} for name, of_class in counted.items()}


def confidences(bins, answers, labels, classes):
    """Of answers, so that they fall into these bins."""
    sure = np.zeros(len(answers))
    for row, name in enumerate(classes):
        counts = [bins.get(name, {}).get(label, {"count": 0, "correct": 0}) for label in levels.LABELS]
        for right in (True, False):
            times = [cell["correct"] if right else cell["count"] - cell["correct"] for cell in counts]
            sure[(answers == row) & ((answers == labels) == right)] = np.repeat(np.maximum(cells.MIDDLES, 0.39), times)
    return sure


def heldout(answers, labels, classes, confidence, *, first=0):
    """`heldout.npy` of as many images as there are answers; the first image has the id `first`."""
    fields = [("id", "u1", (16,)), ("label", "<i4"), ("probabilities", "<f4", (len(classes),))]
    records = np.zeros(len(answers), fields)
    records["id"][:, :4] = np.arange(first, first + len(answers), dtype="<u4").view("u1").reshape(-1, 4)
    records["probabilities"] = np.reshape((1 - np.asarray(confidence)) / (len(classes) - 1), (-1, 1))
    records["probabilities"][np.arange(len(answers)), answers] = confidence
    records["label"] = labels
    return records


def files(classes=CLASSES, confusion=((18, 2, 0), (1, 19, 0), (3, 4, 13)), *, bins=None, first=0, **more):
    """A package with this confusion on the held-out images; `more` replaces whole files, named with `_` for `.`."""
    pairs = [(row, column) for row, counts in enumerate(confusion) for column, n in enumerate(counts) for _ in range(n)]
    labels, answers = (np.array(part) for part in zip(*pairs, strict=True))
    accuracy = float((labels == answers).mean())
    confidence = min(accuracy + 0.02, 0.98) if bins is None else confidences(bins, answers, labels, classes)
    held = heldout(answers, labels, classes, confidence, first=first)
    probabilities = held["probabilities"]
    baseline = {
        "accuracy": accuracy,
        "standard_error": shares.standard_error(accuracy, len(pairs)),
        "samples": len(pairs),
        "calibration_error": round(levels.calibration_error(probabilities.max(1), labels == answers), 6),
        "confusion": confusion,
        "bins": counted(probabilities, labels, classes),
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
        "heldout.npy": saved(held),
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


def register_unread(registry, **made):
    """The same, by a release that did not read all files."""
    with mock.patch.object(versions, "_read", lambda files: Baseline.parse(files[Baseline.file])):
        return register(registry, **made)
