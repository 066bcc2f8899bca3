"""A version that is ready to predict, with an open, warmed-up session."""

import logging
from dataclasses import dataclass
from pathlib import Path

from registry.version import Version
from serving.session import Session
from tailorbird.drift import estimator
from tailorbird.drift.estimator import Estimator
from tailorbird.drift.judgement import Known
from tailorbird.errors import Corrupt
from tailorbird.package import samples
from tailorbird.package.baseline import Baseline
from tailorbird.package.estimator import Fit
from tailorbird.package.samples import Samples
from tailorbird.package.signature import Signature

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """An opened version; `alias` is the one by which it was requested, "" if it was by number."""

    version: Version
    alias: str
    signature: Signature
    baseline: Baseline
    session: Session
    known: Known
    samples: Samples | None


def open_model(version: Version, alias: str, folder: Path) -> Model:
    """Open and warm up the model in a verified package folder. Raises Corrupt if it does not match its signature."""
    signature = Signature.parse((folder / Signature.file).read_bytes())
    baseline = Baseline.parse((folder / Baseline.file).read_bytes()).check(signature.classes)
    return Model(
        version=version,
        alias=alias,
        signature=signature,
        baseline=baseline,
        session=Session((folder / "model.onnx").read_bytes(), signature),
        known=Known.of(signature.classes, baseline, _estimator(version, signature, folder)),
        samples=_samples(version, signature, folder),
    )


def _estimator(version: Version, signature: Signature, folder: Path) -> Estimator | None:
    """None, and logged, if the package has none or it cannot be read: the other metrics work without it."""
    path = folder / Fit.file
    try:
        if path.exists():
            return estimator.parse(path.read_bytes(), signature.classes)
        logger.warning("%s has no %s: its accuracy is not estimated", version, Fit.file)
    except Corrupt as error:
        logger.warning("%s: its accuracy is not estimated: %s", version, error)
    return None


def _samples(version: Version, signature: Signature, folder: Path) -> Samples | None:
    """None if the package has none or they cannot be read: they are only for trying the model."""
    path = folder / samples.FILE
    try:
        return Samples.parse(path.read_bytes(), signature) if path.exists() else None
    except Corrupt as error:
        logger.warning("%s has no samples: %s", version, error)
        return None
