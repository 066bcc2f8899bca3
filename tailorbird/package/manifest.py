"""`manifest.json`: the files of a package with their SHA-256 sums, and its metadata."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from tailorbird.package import config, curves, environment
from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Measurements
from tailorbird.package.record import Count, Record

MANIFEST = "manifest.json"
REQUIRED = frozenset(
    {
        "model.onnx",
        "signature.json",
        "baseline.json",
        "heldout.npy",
        config.FILE,
        "checkpoint.safetensors",
        environment.FILE,
        curves.FILE,
        "curves.png",
        "confusion.png",
    }
)
OPTIONAL = frozenset({"estimator.json", "samples.npz", "model.int8.onnx"})


class Entry(Record):
    """The SHA-256 sum of a file, in hexadecimal, and its size."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Count


class About(Record):
    """The metadata of a package: its model, the time of registration (ISO 8601, UTC), its evidence, and its lineage."""

    file: ClassVar = MANIFEST

    model: str
    created: str
    evidence: Measurements
    lineage: Lineage

    def record(self) -> dict[str, Any]:
        return super().record() | {"lineage": self.lineage.record()}


class Manifest(About):
    """The same with the files by name."""

    files: dict[str, Entry]

    @field_validator("files", mode="before")
    @classmethod
    def _check(cls, files: Any) -> Any:
        """Check the names, since a forged one could be any path."""
        if isinstance(files, dict):
            for name in sorted(files.keys() - REQUIRED - OPTIONAL):
                raise ValueError(f"names {shown(name)}, which is not a file of a package")
            for name in sorted(REQUIRED - files.keys()):
                raise ValueError(f"does not name {name}, which every package has")
        return files


def shown(name: str) -> str:
    """An untrusted name, made printable for messages."""
    return repr(name if len(name) <= 64 else name[:61] + "...")
