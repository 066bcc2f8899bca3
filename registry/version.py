"""A version: one row of the registry, immutable but for the aliases that point to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

from tailorbird.package.lineage import Lineage
from tailorbird.package.measurements import Measurements


@dataclass(frozen=True)
class Version:
    """A row: its package, its measurements and its lineage.

    `columns` are the row's JSON, by `evidence` and `lineage`. Each is checked when it is first asked for, since of a
    page few are, and raises Corrupt where it is none.
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
        """From what `record` gives; evidence and lineage are not looked at."""
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
        """The same version; raises Corrupt where its evidence or lineage are none."""
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
