"""Request bodies: read up to a limit, parsed, and checked for their outer form."""

import reprlib
from typing import Any

import orjson
from starlette.requests import Request

from serving.problems import Problem

JSON = "application/json"


async def read(request: Request, limit: int) -> bytes:
    """The body; raises Problem 413 over `limit` bytes, be they announced or just sent."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def media_type(request: Request, *accepted: str) -> str:
    """The body's type without parameters; raises Problem 415 where it is none of `accepted`."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in accepted:
        problem = f"the content type {shown(given)} is not taken" if given else "there is no Content-Type"
        raise Problem(415, f"{problem}; accepted: {', '.join(accepted)}")
    return given


def parse(body: bytes, field: str) -> list[Any]:
    """The list, with something in it, of a JSON object whose only key is `field`; raises Problem 400 or 422."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    values = members(content, "the body", field)[0]
    if not isinstance(values, list) or not values:
        raise Problem(422, f"{field} is {shown(values)}; accepted: a list with one or more in it")
    return values


def members(value: Any, name: str, *keys: str) -> list[Any]:
    """The values of an object that has just these keys; raises Problem 422."""
    accepted = f"accepted: an object with {' and '.join(keys)}"
    if not isinstance(value, dict):
        raise Problem(422, f"{name} is {shown(value)}; {accepted}")
    for key in keys:
        if key not in value:
            raise Problem(422, f"{name} has no {key}; {accepted}")
    for key in value:
        if key not in keys:
            raise Problem(422, f"{name} has an unknown key {shown(key)}; {accepted}")
    return [value[key] for key in keys]


def shown(value: Any) -> str:
    """A JSON value as a sentence can hold it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case list():
            return f"a list of {len(value)}" if value else "an empty list"
        case dict():
            return "an object"
    return reprlib.repr(value)


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is over the limit of {limit} bytes")
