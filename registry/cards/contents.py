"""The contents of a version's package: results by class, configuration, environment, sizes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from registry import evidence, packages, verification
from registry.core import Registry
from registry.evidence import Evidence
from registry.version import Version
from tailorbird import bins
from tailorbird.errors import Corrupt
from tailorbird.package import config, curves, environment
from tailorbird.package.baseline import Baseline
from tailorbird.package.curves import Epoch
from tailorbird.package.heldout import Heldout
from tailorbird.package.signature import Signature

T = TypeVar("T")


@dataclass(frozen=True)
class ByClass:
    """The answers to held-out images of one class; `mistaken` is the most common wrong answer and its count."""

    name: str
    support: int
    right: int
    predicted: int
    mistaken: tuple[str, int] | None

    @property
    def recall(self) -> float | None:
        return self.right / self.support if self.support else None

    @property
    def precision(self) -> float | None:
        return self.right / self.predicted if self.predicted else None


@dataclass(frozen=True)
class Bin:
    """The number of held-out images answered with a confidence in [low, high), and of the right answers among them."""

    low: float
    high: float
    count: int
    correct: int


@dataclass(frozen=True, eq=False)
class Contents:
    """The small files of a package, and the sizes of all files in bytes."""

    sizes: dict[str, int]
    signature: Signature
    baseline: Baseline
    heldout: Heldout
    evidence: Evidence
    by_class: tuple[ByClass, ...]
    bins: tuple[Bin, ...]
    epochs: Sequence[Epoch]
    config: dict[str, Any]
    config_text: str
    environment: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.signature.classes


def read(registry: Registry, version: Version) -> Contents:
    """Read a version's package; raises Corrupt that names the damaged or invalid file."""
    manifest = packages.manifest(registry.blobs, version.manifest)
    verification.check(version, manifest)
    measured = evidence.read(registry.blobs, version, manifest)
    if measured.problems or not (measured.signature and measured.baseline and measured.heldout):
        raise Corrupt(f"{version} has a damaged package: {measured.problems[0]}")

    def parsed(name: str, parse: Callable[[bytes], T]) -> T:
        return understood(str(version), name, packages.content(registry.blobs, manifest, name), parse)

    return Contents(
        sizes={name: entry.size for name, entry in manifest.files.items()},
        signature=measured.signature,
        baseline=measured.baseline,
        heldout=measured.heldout,
        evidence=measured,
        by_class=_by_class(measured.baseline, measured.classes),
        bins=_bins(measured.baseline),
        epochs=parsed(curves.FILE, curves.parse),
        config=parsed(config.FILE, config.parse),
        config_text=parsed(config.FILE, bytes.decode),
        environment=parsed(environment.FILE, environment.parse),
    )


def understood(package: str, name: str, data: bytes, parse: Callable[[bytes], T]) -> T:
    """One file of a package, parsed; raises Corrupt if `parse` fails."""
    try:
        return parse(data)
    except Corrupt as error:
        raise Corrupt(f"{package} has a damaged package: {error}") from None
    except UnicodeDecodeError:
        raise Corrupt(f"{package} has a damaged package: {name}: is not UTF-8") from None


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": 1}}` as `("a.b", 1)`; lists stay whole."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from flatten(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _by_class(baseline: Baseline, classes: tuple[str, ...]) -> tuple[ByClass, ...]:
    predicted = [sum(column) for column in zip(*baseline.confusion, strict=True)]
    return tuple(
        ByClass(name, sum(row), row[index], predicted[index], _mistaken(index, row, classes))
        for index, (name, row) in enumerate(zip(classes, baseline.confusion, strict=True))
    )


def _bins(baseline: Baseline) -> tuple[Bin, ...]:
    """The bins that occur, over all predicted classes."""
    cells = [[of_class[label] for of_class in baseline.bins.values() if label in of_class] for label in bins.LABELS]
    lows, highs = (0.0, *bins.EDGES), (*bins.EDGES, 1.0)
    return tuple(
        Bin(low, high, count, sum(cell.correct for cell in counted))
        for low, high, counted in zip(lows, highs, cells, strict=True)
        if (count := sum(cell.count for cell in counted))
    )


def _mistaken(index: int, row: Sequence[int], classes: tuple[str, ...]) -> tuple[str, int] | None:
    most = max((other for other in range(len(row)) if other != index), key=row.__getitem__)
    return (classes[most], row[most]) if row[most] else None
