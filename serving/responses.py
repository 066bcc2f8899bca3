"""Answers as the bytes of HTTP/1.1."""

from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from serving.answers import Answer
from serving.app import headers


def response(answer: Answer, request_id: str, closing: bool, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """`default_headers` are uvicorn's: its name, and the date."""
    lines = headers(answer, request_id)
    if closing:
        lines.append((b"connection", b"close"))
    first = _head(answer.status, tuple(default_headers))
    return b"%b%b\r\n%b" % (first, b"".join([b"%b: %b\r\n" % line for line in lines]), answer.body)


@lru_cache(maxsize=16)
def _head(status: int, lines: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """What answers of a second have in common."""
    return STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % line for line in lines])
