"""Request bodies: read up to a limit, parsed, and validated in their outer structure."""

import json
import reprlib
from functools import lru_cache
from typing import Any

import orjson

from serving.problems import Problem
from serving.requests import Request

CODINGS = ((b"content-encoding", "content", "identity"), (b"transfer-encoding", "transfer", "chunked"))


async def read(request: Request, limit: int) -> bytes:
    """The body; raises Problem 413 over `limit` bytes, announced or sent."""
    announced = request.headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    body, more = await request.chunk()
    if not more and len(body) <= limit:
        return body
    chunks, size = [body], len(body)
    while more and size <= limit:
        body, more = await request.chunk()
        chunks.append(body)
        size += len(body)
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def media_type(request: Request, *accepted: str) -> str:
    """The body's type without parameters; raises Problem 415 if it is not one of `accepted`, or is compressed."""
    for header, kind, plain in CODINGS:
        if header in request.headers:
            coding = request.headers[header].decode("latin-1").strip().lower()
            if coding not in ("", plain):
                raise Problem(415, f"the {kind} encoding {shown(coding)} is not supported; accepted: {plain}")
    sent = _without_parameters(request.headers.get(b"content-type", b""))
    if sent not in accepted:
        problem = f"the content type {shown(sent)} is not supported" if sent else "there is no Content-Type"
        raise Problem(415, f"{problem}; accepted: {', '.join(accepted)}")
    return sent


@lru_cache
def _without_parameters(content_type: bytes) -> str:
    return content_type.decode("latin-1").partition(";")[0].strip().lower()


def parse(body: bytes, field: str) -> list[Any]:
    """The non-empty list of a JSON object whose only key is `field`; raises Problem 400 or 422."""
    values = members(loads(body), "the body", field)[0]
    if not isinstance(values, list) or not values:
        raise Problem(422, f"{field} is {shown(values)}; accepted: a list with one or more in it")
    return values


def loads(body: bytes) -> Any:
    """Parsed JSON (RFC 8259, in UTF-8, without repeated keys); raises Problem 400."""
    try:
        content = orjson.loads(body)
        # with at most one string no key can be repeated, of which orjson would keep the last
        if _third_quote(body) >= 0:
            json.loads(body, object_pairs_hook=_unique)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    except RecursionError:
        raise Problem(400, "the body is JSON nested too deeply") from None
    return content


def _third_quote(body: bytes) -> int:
    """Its index, in a quarter of the time that counting takes; -1 if there is none."""
    return body.find(b'"', body.find(b'"', body.find(b'"') + 1) + 1)


def members(value: Any, name: str, *keys: str) -> list[Any]:
    """The values of an object with exactly these keys; raises Problem 422."""
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
    """A JSON value, shortened for an error message."""
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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise Problem(400, f"the body has the key {shown(name)} twice in one object; accepted: each key once")
        values[name] = value
    return values


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is over the limit of {limit} bytes")
