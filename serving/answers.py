"""What goes back to a client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response; the application adds length and id, and calls `afterwards` when it is sent."""

    body: bytes
    media_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    afterwards: Callable[[], None] | None = None


def of_json(content: Any, status: int = 200) -> Answer:
    return Answer(orjson.dumps(content), JSON, status)
