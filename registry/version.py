"""A version: one row of the registry, immutable except for the aliases that point to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Measurements


@dataclass(frozen=True)
class Version:
    """A row: its package, its measurements and its lineage.

    `columns` are the row's JSON, by `evidence` and `lineage`. Each is validated on first access, since few rows of a
    page need it, and raises Corrupt if it is invalid.
    """

    model: str
    number: int
    manifest: str
    columns: Mapping[str, Any]
    who: str
    created: str
    signature: str | None = None
    aliases: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.model}:{self.number}"

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """From the output of `record`; evidence and lineage are not validated."""
        fields = dict(record)
        columns = {name: fields.pop(name) for name in ("evidence", "lineage")}
        return cls(**fields | {"columns": columns, "aliases": tuple(fields["aliases"])})

    @cached_property
    def evidence(self) -> Measurements:
        return Measurements.of(self.columns["evidence"], f"{self}: evidence")

    @cached_property
    def lineage(self) -> Lineage:
        return Lineage.of(self.columns["lineage"], f"{self}: lineage")

    def checked(self) -> Self:
        """The same version; raises Corrupt if its evidence or lineage is invalid."""
        _ = self.evidence, self.lineage
        return self

    def record(self) -> dict[str, Any]:
        """The version as `--json` prints it."""
        fields = asdict(self)
        del fields["columns"]
        return fields | {
            "evidence": self.evidence.record(),
            "lineage": self.lineage.record(),
            "aliases": list(self.aliases),
        }
