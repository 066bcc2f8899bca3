"""The heads of requests: their size, their target, and offers of other protocols, which are ignored."""

import httptools

from serving.problems import Problem

Headers = list[tuple[bytes, bytes]]

MAX_HEAD_BYTES = 64 * 1024
"""Also the limit of httptools for a target, the length of which it stores in 16 bits."""
OFFER = (b"upgrade", b"connection", b"http2-settings")


def too_large() -> Problem:
    return Problem(431, f"the request's head, or what follows its body, is over the limit of {MAX_HEAD_BYTES} bytes")


def check_size(target: bytes, headers: Headers) -> None:
    """Raise Problem 431 for a head, or for the trailers of a body, whose target is empty."""
    size = len(target) + sum(len(name) + len(value) + len(": \r\n") for name, value in headers)
    if size >= MAX_HEAD_BYTES:
        raise too_large()


def is_url(target: bytes) -> bool:
    try:
        return httptools.parse_url(target).path is not None
    except httptools.HttpParserInvalidURLError:
        return False


def without_offer(method: bytes, target: bytes, headers: Headers) -> bytes:
    """The bytes of a head that does not offer another protocol."""
    lines = [method + b" " + target + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in headers if name not in OFFER]
    return b"\r\n".join([*lines, b"", b""])
