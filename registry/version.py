"""A version: one row of the registry, immutable but for the aliases that point to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Measurements


@dataclass(frozen=True)
class Version:
    """One row: which package it is, what was measured of it, and where it came from."""

    model: str
    number: int
    manifest: str
    evidence: Measurements
    lineage: Lineage
    who: str
    created: str
    signature: str | None = None
    aliases: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.model}:{self.number}"

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Version":
        """From what `record` gives; raises Corrupt where its evidence or lineage are none."""
        name = f"{record['model']}:{record['number']}"
        typed = {
            "evidence": Measurements.of(record["evidence"], f"{name}: evidence"),
            "lineage": Lineage.of(record["lineage"], f"{name}: lineage"),
            "aliases": tuple(record["aliases"]),
        }
        return cls(**{**record, **typed})

    def record(self) -> dict[str, Any]:
        """The version as `--json` prints it."""
        return asdict(self) | {
            "evidence": self.evidence.record(),
            "lineage": self.lineage.record(),
            "aliases": list(self.aliases),
        }
