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
    """Which bytes are promised: their SHA-256 sum in hexadecimal, and how many."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Count


class About(Record):
    """What is said of a package: the model that it is a version of, when it was registered (ISO 8601, UTC), what was
    measured of it, and where it came from."""

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
        """By the names, of which a forged one could lead anywhere."""
        if isinstance(files, dict):
            for name in sorted(files.keys() - REQUIRED - OPTIONAL):
                raise ValueError(f"names {shown(name)}, which is not a file of a package")
            for name in sorted(REQUIRED - files.keys()):
                raise ValueError(f"does not name {name}, which every package has")
        return files


def shown(name: str) -> str:
    """A name that somebody else chose, as messages show it."""
    return repr(name if len(name) <= 64 else name[:61] + "...")
