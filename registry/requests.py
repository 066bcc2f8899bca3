"""Requests for moves of aliases, validated when they are created."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from registry import names
from registry.names import CHAMPION

UNSET = 0
"""The expected version of an alias that must be unset."""


@dataclass(frozen=True)
class Request:
    """A move of `alias`, if it points to the version `expect` (UNSET: to none; None: to any).

    `automatic` moves are not made by a person, and are stopped by a hold. Raises InvalidInput for invalid names, and
    for reasons and users that records cannot store.
    """

    kind: ClassVar[str]

    model: str
    _: KW_ONLY
    why: str
    who: str
    alias: str = CHAMPION
    automatic: bool = False
    expect: int | None = None

    def __post_init__(self) -> None:
        names.check("model", self.model)
        names.check_alias("alias", self.alias)
        names.check_text("why", self.why)
        names.check_text("who", self.who, names.WHO)


@dataclass(frozen=True)
class Promotion(Request):
    """To version `number`; `force` overrides the gates, except for a version that does not verify."""

    kind = "promote"

    number: int
    _: KW_ONLY
    force: bool = False


@dataclass(frozen=True)
class Rollback(Request):
    """To the previous version of the alias, or to `to`, one of its earlier versions."""

    kind = "rollback"

    to: int | None = None
