"""The baseline of a version, and its estimator if it has one, from its package."""

import numpy as np

from registry import feedback, packages, verification
from registry.core import Registry
from registry.version import Version
from tailorbird import bins
from tailorbird.drift import cells, change, estimator
from tailorbird.drift.cells import Floats
from tailorbird.drift.judgement import Known
from tailorbird.package.baseline import Baseline
from tailorbird.package.estimator import Fit
from tailorbird.package.signature import Signature


def read(registry: Registry, version: Version) -> Known:
    """The baseline and estimator of a version; raises Corrupt if its package is damaged, or not the registered one."""
    manifest = packages.manifest(registry.blobs, version.manifest)
    verification.check(version, manifest)

    def contents(name: str) -> bytes:
        return packages.content(registry.blobs, manifest, name)

    classes = Signature.parse(contents(Signature.file)).classes
    baseline = Baseline.parse(contents(Baseline.file)).check(classes)
    fitted = None
    if Fit.file in manifest.files:
        fitted = estimator.parse(contents(Fit.file), classes)
    return Known.of(classes, baseline, fitted)


def labels(registry: Registry, version: Version, known: Known, since: str) -> tuple[Floats, Floats]:
    """The labels of a version received since `since`, and those that agree [classes, bins]."""
    return cells.labelled(feedback.cells(registry, version.model, version.number, since=since), known.classes)


def evidence(registry: Registry, version: Version, known: Known, since: str) -> float:
    """The evidence, from the labels of a version since `since` in order, that its errors are more frequent."""
    errors = {
        (name, label): 1 - known.accuracies[row, column]
        for row, name in enumerate(known.classes)
        for column, label in enumerate(bins.LABELS)
    }
    marks = feedback.marks(registry, version.model, version.number, since=since)
    seen = [(mark.wrong, errors[cell]) for mark in marks if (cell := (mark.predicted, mark.confidence_bin)) in errors]
    wrong, error = np.array(seen).reshape(-1, 2).T
    return float(change.evidence(change.after(wrong > 0, error, known.tolerance)))
