"""The files of a `multipart/form-data` body (RFC 7578)."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serving.problems import Problem

MEDIA_TYPE = "multipart/form-data"


@dataclass
class _Parts:
    """The parser's callbacks: they collect each part's headers by lower-case name, and its content."""

    headers: list[dict[bytes, bytes]] = field(default_factory=list)
    contents: list[bytearray] = field(default_factory=list)
    ended: bool = False
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)

    def on_part_begin(self) -> None:
        self.headers.append({})
        self.contents.append(bytearray())

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.contents[-1] += data[start:end]

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self.headers[-1][bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def on_end(self) -> None:
        self.ended = True


def files(content_type: bytes, body: bytes, most: int) -> list[bytes]:
    """The contents of at most `most` files, in order; raises Problem 400, 413 or 422."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise Problem(400, "the content type multipart/form-data has no boundary")
    parts = _Parts()
    callbacks = {name: getattr(parts, name) for name in dir(parts) if name.startswith("on_")}
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem(400, f"the body is not multipart/form-data: {error}") from None
    if not parts.ended:
        raise Problem(400, "the body is not multipart/form-data: it ends before its last boundary")
    if not parts.contents:
        raise Problem(422, "the body has no file; accepted: one file or more")
    if len(parts.contents) > most:
        raise Problem(413, f"the body has {len(parts.contents)} files; accepted: {most} in one request")
    for index, headers in enumerate(parts.headers):
        if b"filename" not in parse_options_header(headers.get(b"content-disposition"))[1]:
            raise Problem(422, f"part {index} is not a file; accepted: only files")
    return [bytes(content) for content in parts.contents]
