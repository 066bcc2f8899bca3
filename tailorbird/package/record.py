"""Records: JSON objects that are written, read and validated by a type."""

import json
import math
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tailorbird.errors import Corrupt, InvalidInput

LARGEST = 2**53
"""The largest integer that all JSON readers represent exactly."""

Count = Annotated[int, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Amount = Annotated[Count | None, BeforeValidator(_finite)]
Figure = Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(_finite)]
"""A measurement, at least 0; None stands for values that are not finite, which JSON does not have and every gate
refuses.
"""


class Record(BaseModel):
    """An immutable JSON object; unknown keys, perhaps of a later release, are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)
    file: ClassVar[str] = ""
    """Its file name in a package."""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the file; raises Corrupt, by the name of the file and the path of the key."""
        return cls.of(json_object(cls.file, data))

    @classmethod
    def of(cls, value: Any, name: str | None = None) -> Self:
        """Validate parsed JSON; raises Corrupt that begins with `name`, by default the file's."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            problem = InvalidInput.from_validation(error, value, cls, f"{name or cls.file}: ")
            raise Corrupt(str(problem)) from None

    def record(self) -> dict[str, Any]:
        """The record as JSON values."""
        return self.model_dump(mode="json")

    def encode(self) -> bytes:
        """The file."""
        return encode(self.record())


def json_object(name: str, data: bytes) -> dict[str, Any]:
    """Parse a JSON object; raises Corrupt that names the file if it is not one."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Corrupt(f"{name}: is not a JSON object")
    return content


def encode(value: Any) -> bytes:
    """JSON in the stored form: with sorted keys, so that equal content has an equal digest."""
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode()
