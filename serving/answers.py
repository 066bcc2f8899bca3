"""Responses to clients."""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

JSON = "application/json"


class Answer(NamedTuple):
    """A complete response; the application adds length and id, and calls `afterwards` when it is sent."""

    body: bytes
    media_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    afterwards: Callable[[], None] | None = None


class Promise(NamedTuple):
    """An answer that a thread still works at: `finish` makes it of what `result` will be, in the event loop."""

    result: "asyncio.Future[Any]"
    finish: Callable[[Any], Answer]


def of_json(content: Any, status: int = 200) -> Answer:
    return Answer(orjson.dumps(content), JSON, status)
