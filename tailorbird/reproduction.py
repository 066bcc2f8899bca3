"""Reproduction: retrain a version from its configuration and lineage, and compare the results.

With the same processor and packages, the weights are the same bit for bit. Otherwise rounding differs, and training
amplifies it: with other vector instructions of one processor, probabilities moved by 0.02 on average after 10 epochs on
Fashion-MNIST and by less than 0.0001 after 40 on digits; with another seed by 0.03 to 0.08.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from registry import packages
from registry.cards import contents
from registry.core import Registry
from registry.version import Version
from tailorbird.errors import Corrupt, InvalidInput
from tailorbird.settings import Settings
from training import backbones, candidate, checkpoint, datasets, export, network, registrable
from training import config as configs
from training import splits as dealing
from training.config import Objective, PretrainedConfig, RunConfig
from training.scores import Classification
from training.splits import Splits

MEAN_DIFFERENCE = 0.025
"""The accepted mean, over held-out images, of the largest difference between an image's probabilities."""
STANDARD_ERRORS = 2
"""The accepted difference of accuracies, in standard errors."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The config and lineage of a version, and its data."""

    version: Version
    config: RunConfig
    epoch: int
    objective: Objective | None
    splits: Splits
    environment: tuple[str, ...]


@dataclass(frozen=True)
class Reproduction:
    """The retrained model compared with the registered one.

    Differences are absolute; `environment` are lines that differ.
    """

    version: str
    epoch: int
    weights_equal: bool
    weights_difference: float
    export_equal: bool
    mean_difference: float
    max_difference: float
    agreement: float
    registered_accuracy: float
    served_accuracy: float
    retrained_accuracy: float
    standard_error: float
    samples: int
    environment: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """The differences that are out of bounds; empty if the version is reproduced."""
        problems = []
        if self.mean_difference > MEAN_DIFFERENCE:
            problems.append(
                f"probabilities differ by {self.mean_difference:.4f} on average over {self.samples:,} held-out images "
                f"(at most {self.max_difference:.4f}); accepted: at most {MEAN_DIFFERENCE}"
            )
        accepted = STANDARD_ERRORS * self.standard_error
        for name, accuracy in (("the retrained", self.retrained_accuracy), ("the stored", self.served_accuracy)):
            apart = abs(accuracy - self.registered_accuracy)
            if apart > accepted:
                problems.append(
                    f"{name} model's held-out accuracy is {accuracy:.2%}, {100 * apart:.2f} points from the registered "
                    f"{self.registered_accuracy:.2%}; accepted: at most {100 * accepted:.2f}"
                )
        return problems

    def lines(self) -> list[str]:
        """The outcome in readable form."""
        weights = "the same bit for bit" if self.weights_equal else f"differ by up to {self.weights_difference:.2g}"
        lines = [
            f"weights of epoch {self.epoch}: {weights}",
            f"model.onnx: {'the same byte for byte' if self.export_equal else 'another file'}",
            f"probabilities of {self.samples:,} held-out images: differ by {self.mean_difference:.2g} on average, "
            f"{self.max_difference:.2g} at most; {self.agreement:.2%} get the same label",
            f"held-out accuracy: registered {self.registered_accuracy:.2%}, stored model {self.served_accuracy:.2%}, "
            f"retrained {self.retrained_accuracy:.2%}",
            *(f"environment: {line}" for line in self.environment or ["the same"]),
        ]
        if not self.problems:
            lines.append(f"{self.version} is reproduced {'bit for bit' if self.weights_equal else 'within bounds'}")
        return lines

    def record(self) -> dict[str, Any]:
        bounds = {"mean_difference": MEAN_DIFFERENCE, "standard_errors": STANDARD_ERRORS}
        outcome = "no" if self.problems else "bit for bit" if self.weights_equal else "within bounds"
        return {
            **asdict(self),
            "environment": list(self.environment),
            "bounds": bounds,
            "reproduced": outcome,
            "problems": self.problems,
        }


def plan(registry: Registry, version: Version, settings: Settings) -> Plan:
    """Read the config and lineage of a version, and load its data.

    Raises InvalidInput if the lineage is insufficient, or the data set or a backbone's weights here are different.
    """
    stored = contents.read(registry, version)
    config = configs.stored(stored.config, "config.yaml: ")
    epoch, known = _lineage(version, config)
    dataset = datasets.load(config.data, settings.data, settings.cache, settings.download_timeout)
    digest = dataset.digest()
    if digest != known:
        raise InvalidInput(
            "data",
            f"the data set {config.data.name} here has the SHA-256 sum {digest[:12]}…, and {version} was trained on "
            f"{known[:12]}…; set TAILORBIRD_DATA_DIR to the folder of the right one",
        )
    _check_backbone(version, config, settings)
    dealt = dealing.split(dataset, config.data)
    registrable.check(dealt)
    recorded = version.lineage.objective
    objective = None if recorded is None else configs.parse(Objective, recorded, "objective.")
    return Plan(version, config, epoch, objective, dealt, stored.environment)


def compare(registry: Registry, plan: Plan, weights: bytes) -> Reproduction:
    """Compare the retrained weights with those of the version, and the new export with the registered one."""
    splits, manifest = plan.splits, plan.version.manifest
    stored = packages.file(registry.blobs, manifest, "checkpoint.safetensors")
    model = packages.file(registry.blobs, manifest, "model.onnx")
    _, again = candidate.exported(plan.config, splits, weights)
    served, retrained = _evaluated(plan, model), export.evaluate(again, splits.holdout, splits.kind)
    if served.probabilities.shape != retrained.probabilities.shape:
        raise Corrupt(f"{plan.version} has a damaged package: model.onnx: has other classes than its data set")
    apart = np.abs(served.probabilities - retrained.probabilities).max(1)
    difference = _difference(plan, stored, weights)
    return Reproduction(
        version=str(plan.version),
        epoch=plan.epoch,
        weights_equal=difference == 0,
        weights_difference=difference,
        export_equal=again == model,
        mean_difference=float(apart.mean()),
        max_difference=float(apart.max()),
        agreement=float((served.predicted == retrained.predicted).mean()),
        registered_accuracy=plan.version.evidence.accuracy,
        served_accuracy=served.accuracy,
        retrained_accuracy=retrained.accuracy,
        standard_error=max(served.standard_error, retrained.standard_error),
        samples=len(splits.holdout),
        environment=_differing(plan.environment, candidate.surroundings()),
    )


def _lineage(version: Version, config: RunConfig) -> tuple[int, str]:
    """The epoch, and the SHA-256 sum of the data."""
    epoch, data = version.lineage.epoch, version.lineage.data
    if epoch is None or data is None or data.sha256 is None:
        raise InvalidInput(str(version), "its lineage has no epoch and data digest, which only sweeps record")
    if not 1 <= epoch <= config.epochs:
        raise InvalidInput(str(version), f"its lineage names epoch {epoch}, and its run has {config.epochs}")
    known = config.data.model_dump(mode="json")
    if other := [key for key, value in data.record().items() if key != "sha256" and known.get(key) != value]:
        raise InvalidInput(str(version), f"its lineage and its config.yaml differ in data.{other[0]}")
    return epoch, data.sha256


def _check_backbone(version: Version, config: RunConfig, settings: Settings) -> None:
    """Raise InvalidInput if the weights of its backbone are different here."""
    known = version.lineage.backbone
    if not isinstance(config.model, PretrainedConfig) or known is None or known.sha256 is None:
        return
    current = backbones.provenance(config.model, settings)
    if current.sha256 != known.sha256:
        raise InvalidInput(
            "model.backbone",
            f"the weights of {current.backbone} here have the SHA-256 sum {(current.sha256 or '')[:12]}…, and "
            f"{version} was trained on {known.sha256[:12]}…, of {known.source}",
        )


def _evaluated(plan: Plan, model: bytes) -> Classification:
    try:
        return export.evaluate(model, plan.splits.holdout, plan.splits.kind)
    except Exception as error:  # ONNX Runtime raises many kinds for bytes that are not such a model
        reason = " ".join(str(error).split())[:200]
        raise Corrupt(f"{plan.version} has a damaged package: model.onnx: cannot be run: {reason}") from None


def _difference(plan: Plan, stored: bytes, weights: bytes) -> float:
    """The largest difference between corresponding weights; 0 only if all are the same bit for bit."""
    states = [network.restored(plan.config, plan.splits, data).state_dict() for data in (stored, weights)]
    if checkpoint.encode(states[0]) == checkpoint.encode(states[1]):
        return 0.0
    apart = [float((states[0][name].double() - tensor.double()).abs().max()) for name, tensor in states[1].items()]
    return max(*apart, np.finfo(np.float32).tiny.item())


def _differing(registered: Sequence[str], current: Sequence[str]) -> tuple[str, ...]:
    """Lines that differ: `-` for those of the version, `+` for those of this environment."""
    return (
        *(f"-{line}" for line in registered if line not in current),
        *(f"+{line}" for line in current if line not in registered),
    )
