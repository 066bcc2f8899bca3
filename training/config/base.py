"""The base of every config: strict, frozen models, and the types that several configs share."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tailorbird.errors import InvalidInput


class Config(BaseModel):
    """The base of every config: immutable, strict about its keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


C = TypeVar("C", bound=Config)


def parse(kind: type[C], raw: Mapping[str, Any], prefix: str = "") -> C:
    """Validate plain data as a config; raises InvalidInput with the path of the first wrong key."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise InvalidInput.from_validation(error, raw, kind, prefix) from None


CODE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""`package.module:name`, a function of the user's own."""


def _code(reference: str) -> str:
    if not CODE.fullmatch(reference):
        raise ValueError(f"must be package.module:name, not {reference!r}")
    return reference


PositiveInt = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
CodeReference = Annotated[str, AfterValidator(_code)]
