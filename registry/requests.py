"""Requests: what somebody asks of an alias, checked when it is made."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from registry import names
from registry.names import CHAMPION

UNSET = 0
"""The expected version of an alias that must be unset."""


@dataclass(frozen=True)
class Request:
    """A move of `alias`, if it is at the version `expect` (UNSET: at none; None: wherever it is).

    `automatic` says that no person asks, so that a hold stops it.

    Raises InvalidInput for a name that is none, and for reasons and people that the records do not keep.
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
    """To version `number`; `force` moves it against the verdict of the gates, though never to a version that does not
    verify.
    """

    kind = "promote"

    number: int
    _: KW_ONLY
    force: bool = False


@dataclass(frozen=True)
class Rollback(Request):
    """To the version that the alias had before this one, or to `to`, which it has had before."""

    kind = "rollback"

    to: int | None = None
