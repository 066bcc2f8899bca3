"""Evidence: what was measured of a version, as it is kept with its row, and as the gates look at it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from registry import packages
from registry.heldout import Heldout
from registry.storage.blobs import BlobStore
from tailorbird import classes as class_names
from tailorbird.errors import Corrupt, InvalidInput

if TYPE_CHECKING:
    from registry.versions import Version

PARITY = ("agreement", "max_difference", "samples")
LATENCY = ("p50_ms", "p99_ms", "runs", "threads")
LARGEST = 2**53
"""Of the whole numbers that every reader of JSON takes as they are."""
_KEPT = ("accuracy", "standard_error", "samples", "test")


@dataclass(frozen=True)
class Evidence:
    """All that gates look at of one version; `size` is that of the model that is served, in bytes.

    `problems` say what is wrong. Of a package that cannot be read, it holds what stands in the version's row alone.
    """

    model: str
    number: int
    accuracy: float | None
    samples: int | None
    calibration_error: float | None
    parity: Mapping[str, float | None]
    latency: Mapping[str, float] | None
    size: int | None
    classes: tuple[str, ...]
    confusion: Sequence[Sequence[int]] | None
    heldout: Heldout | None
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.model}:{self.number}"


def gathered(files: Mapping[str, bytes], measured: Mapping[str, Any]) -> dict[str, Any]:
    """What the row and the manifest of a version keep of its measurements.

    `measured` holds what no file of the package does: `parity`, how the export compares with torch on the held-out
    split (`agreement` of labels from 0 to 1, `max_difference` of probabilities, `samples`), and, where it was taken,
    `latency` of one image (`p50_ms`, `p99_ms`, `runs`, `threads`). Raises InvalidInput for what is none of this.
    """
    if unknown := measured.keys() - {"parity", "latency"}:
        raise InvalidInput("package", f"was measured by {', '.join(sorted(unknown))}; known are parity and latency")
    evidence = {**_baseline(files), "parity": _figures("parity", measured.get("parity"), PARITY)}
    if measured.get("latency") is not None:
        evidence["latency"] = _figures("latency", measured["latency"], LATENCY)
    try:
        _classes(files.get("signature.json", b""))
    except Corrupt as error:
        raise InvalidInput("package", str(error)) from None
    return evidence


def of(blobs: BlobStore, version: "Version", problems: Iterable[str]) -> Evidence:
    """The evidence of a stored version; `problems` is what a check of its files against their sums found.

    A file that cannot be read for what it should be is one problem more, and so is a figure that the package's own
    answers deny: nothing is raised for it, so that a damaged candidate gets its verdict, and a damaged champion can be
    replaced.
    """
    found = tuple(problems)
    read: dict[str, Any] = {"size": None, "classes": (), "confusion": None, "heldout": None, "problems": found}
    kept = version.evidence
    if not found:
        try:
            read = _read(blobs, version.manifest, kept)
        except Corrupt as error:
            read["problems"] = (str(error),)
    return Evidence(
        model=version.model,
        number=version.number,
        accuracy=kept.get("accuracy"),
        samples=kept.get("samples"),
        calibration_error=kept.get("calibration_error"),
        parity=kept.get("parity") or {},
        latency=kept.get("latency"),
        **read,
    )


def _baseline(files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        baseline = json.loads(files.get("baseline.json", b""))
        kept = {key: baseline[key] for key in _KEPT}
        shares = [kept["accuracy"], kept["test"]["accuracy"]]
        others = [kept["standard_error"], kept["samples"], kept["test"]["samples"]]
        sound = all(_is_number(one) and 0 <= one <= LARGEST for one in (*shares, *others)) and max(shares) <= 1
    except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
        sound = False
    if not sound:
        wanted = "an accuracy from 0 to 1, its standard_error and samples, and a test with accuracy and samples"
        raise InvalidInput("package", f"baseline.json must hold {wanted}")
    error = baseline.get("calibration_error")
    if error is None:
        return kept
    if not (_is_number(error) and 0 <= error <= 1):
        raise InvalidInput("package", f"baseline.json must hold a calibration_error from 0 to 1, not {error!r}")
    return {**kept, "calibration_error": error}


def _figures(name: str, given: Any, keys: Sequence[str]) -> dict[str, Any]:
    """Figures as JSON keeps them: None stands for one that is not finite, which no gate lets through."""
    if not isinstance(given, Mapping) or given.keys() != set(keys):
        raise InvalidInput("package", f"its {name} must have {', '.join(keys)}, not {given!r}")
    for key, value in given.items():
        if value is not None and (not _is_number(value) or value < 0):
            raise InvalidInput("package", f"its {name} has {value!r} for {key}, not a number from 0")
    return {key: value if value is not None and math.isfinite(value) else None for key, value in given.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read(blobs: BlobStore, manifest: str, kept: Mapping[str, Any]) -> dict[str, Any]:
    from registry import claims  # and numpy with it, which nothing but a judgement needs

    files = packages.manifest(blobs, manifest)["files"]

    def contents(name: str) -> bytes:
        try:
            return blobs.get(files[name]["sha256"])
        except KeyError:
            raise Corrupt(f"{name}: is not in the package") from None
        except Corrupt as error:
            raise Corrupt(f"{name}: {error}") from None

    size = files.get("model.onnx", {}).get("size")
    if not isinstance(size, int):
        raise Corrupt(f"{packages.MANIFEST}: does not say how large model.onnx is")
    classes = _classes(contents("signature.json"))
    baseline = _json("baseline.json", contents("baseline.json"))
    confusion = _confusion(baseline, len(classes))
    judged = Heldout.parse(contents("heldout.npy"), len(classes))
    said = {"baseline.json": baseline, "the registry": kept}
    return {
        "size": size,
        "classes": classes,
        "confusion": confusion,
        "heldout": judged,
        "problems": tuple(islice(claims.denied(judged, classes, confusion, said), 1)),
    }


def _classes(data: bytes) -> tuple[str, ...]:
    classes = _json("signature.json", data).get("classes")
    if not (isinstance(classes, list) and len(classes) > 1 and all(isinstance(name, str) for name in classes)):
        raise Corrupt("signature.json: must hold the names of two classes or more")
    if len(set(classes)) < len(classes):
        raise Corrupt("signature.json: names a class twice")
    for name in classes:
        if problem := class_names.problem(name):
            raise Corrupt(f"signature.json: {name[:60]!r} is no name of a class: it {problem}")
        if class_names.normal(name) != name:
            raise Corrupt(f"signature.json: {name[:60]!r} is not in its normal form: NFC, without spaces around it")
    return tuple(classes)


def _confusion(baseline: Mapping[str, Any], classes: int) -> list[list[int]] | None:
    rows = baseline.get("confusion")
    if rows is None:
        return None
    if not (
        isinstance(rows, list)
        and len(rows) == classes
        and all(isinstance(row, list) and len(row) == classes for row in rows)
        and all(isinstance(count, int) and count >= 0 for row in rows for count in row)
    ):
        raise Corrupt(f"baseline.json: its confusion must be {classes} rows of {classes} counts")
    return rows


def _json(name: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Corrupt(f"{name}: is not a JSON object")
    return found
