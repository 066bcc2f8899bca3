"""What a model takes and answers, as far as a caller needs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailorbird.errors import Corrupt


@dataclass(frozen=True)
class Interface:
    """`kind` is `image` or `table`, `shape` that of one input; a table's `columns` may have names."""

    model: str
    version: int
    kind: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    columns: tuple[str, ...] | None

    @classmethod
    def parse(cls, model: Any, version: Any, signature: Mapping[str, Any]) -> "Interface":
        """From `signature.json`; raises Corrupt for what is none."""
        try:
            columns = signature.get("columns")
            return cls(
                model=str(model),
                version=int(version),
                kind=str(signature["kind"]),
                shape=tuple(map(int, signature["shape"])),
                classes=tuple(map(str, signature["classes"])),
                columns=tuple(map(str, columns)) if columns else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt(f"the signature of {model}:{version} is not one: {error!r}") from None
