"""What the package of a version says of it, parsed and checked: results by class, configuration, environment, sizes."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from registry import evidence, packages, versions
from registry.core import Registry
from registry.evidence import Evidence
from registry.versions import Version
from tailorbird import bins
from tailorbird.errors import Corrupt

T = TypeVar("T")
_MISREAD = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class ByClass:
    """How the held-out images of one class were answered; `mistaken` is what they are taken for most, and how often."""

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
    """The held-out images answered with a confidence in [low, high), and how many of them rightly."""

    low: float
    high: float
    count: int
    correct: int


@dataclass(frozen=True, eq=False)
class Contents:
    """The small files of a package, and the sizes of all in bytes. `by_class` is empty where nothing was counted."""

    sizes: dict[str, int]
    signature: dict[str, Any]
    evidence: Evidence
    by_class: tuple[ByClass, ...]
    bins: tuple[Bin, ...]
    calibration_error: float | None
    config: dict[str, Any]
    config_text: str
    environment: str

    @property
    def classes(self) -> tuple[str, ...]:
        return self.evidence.classes

    @property
    def shape(self) -> list[Any]:
        shape = self.signature.get("shape")
        return shape if isinstance(shape, list) else []

    @property
    def kind_of_input(self) -> str:
        """What goes in, in words."""
        if self.signature.get("kind") == "table":
            columns = self.signature.get("columns")
            return f"rows of {', '.join(map(str, columns))}" if isinstance(columns, list) else "rows of numbers"
        height, width, *channels = self.shape or ("?", "?")
        return f"{'colour' if channels else 'grey'} images of {height} × {width} pixels"


def read(registry: Registry, version: Version) -> Contents:
    """Read a version's package; raises Corrupt that names the file which is damaged or not understood."""
    manifest = packages.manifest(registry.blobs, version.manifest)
    versions.check(version, manifest)
    found = evidence.of(registry.blobs, version, ())
    if found.problems:
        raise Corrupt(f"{version} has a damaged package: {found.problems[0]}")
    return Contents(
        sizes={name: entry["size"] for name, entry in manifest["files"].items()},
        signature=parsed(registry, version, "signature.json", json_object),
        evidence=found,
        by_class=_by_class(found),
        bins=parsed(registry, version, "baseline.json", _bins),
        # the rows of versions that older releases registered do not have it, though their files do
        calibration_error=parsed(registry, version, "baseline.json", _calibration_error),
        config=parsed(registry, version, "config.yaml", yaml_object),
        config_text=parsed(registry, version, "config.yaml", bytes.decode),
        environment=parsed(registry, version, "environment.txt", bytes.decode),
    )


def parsed(registry: Registry, version: Version, name: str, parse: Callable[[bytes], T]) -> T:
    """One file of a version's package, parsed; what `parse` does not understand is Corrupt."""
    return understood(str(version), name, packages.file(registry.blobs, version.manifest, name), parse)


def understood(package: str, name: str, data: bytes, parse: Callable[[bytes], T]) -> T:
    """The same for a file that was read already."""
    import yaml

    try:
        return parse(data)
    except (*_MISREAD, yaml.YAMLError):
        raise Corrupt(f"{package} has a damaged package: {name}: is not what stands under this name") from None


def json_object(data: bytes) -> dict[str, Any]:
    return dict(json.loads(data))


def number(value: object) -> float | None:
    """A finite number, or None for whatever else stands in a record."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    return None


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": 1}}` as `("a.b", 1)`; lists stay whole."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from flatten(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _by_class(found: Evidence) -> tuple[ByClass, ...]:
    if found.confusion is None:
        return ()
    predicted = [sum(column) for column in zip(*found.confusion, strict=True)]
    return tuple(
        ByClass(name, sum(row), row[index], predicted[index], _mistaken(index, row, found.classes))
        for index, (name, row) in enumerate(zip(found.classes, found.confusion, strict=True))
    )


def _mistaken(index: int, row: Sequence[int], classes: tuple[str, ...]) -> tuple[str, int] | None:
    most = max((other for other in range(len(row)) if other != index), key=row.__getitem__)
    return (classes[most], row[most]) if row[most] else None


def _bins(data: bytes) -> tuple[Bin, ...]:
    """The bins that occur, over all predicted classes."""
    counted, correct = [0] * len(bins.LABELS), [0] * len(bins.LABELS)
    for of_class in json_object(data).get("bins", {}).values():
        for label, here in of_class.items():
            place = bins.LABELS.index(label)
            counted[place] += int(here["count"])
            correct[place] += int(here["correct"])
    lows, highs = (0.0, *bins.EDGES), (*bins.EDGES, 1.0)
    return tuple(Bin(*one) for one in zip(lows, highs, counted, correct, strict=True) if one[2])


def _calibration_error(data: bytes) -> float | None:
    return number(json_object(data).get("calibration_error"))


def yaml_object(data: bytes) -> dict[str, Any]:
    """A mapping without aliases."""
    import yaml

    # an alias could make a value that holds itself, or one that grows without bound when it is written out
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, yaml.SafeLoader)):
        raise ValueError("alias")
    return {str(key): value for key, value in dict(yaml.safe_load(data)).items()}
