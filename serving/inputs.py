"""Conversion of a request's body to the inputs of the model, for all formats."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from serving import multipart, pixels, rows
from serving.answers import JSON
from serving.examples import Examples
from serving.problems import Problem, Shed
from tailorbird.errors import TooLarge
from tailorbird.package.signature import Signature

OCTETS = "application/octet-stream"
PICTURES = ("image/png", "image/jpeg", "image/webp")
INLINE_BYTES = 64 * 1024
INLINE_PIXELS = 256 * 256
TOGETHER = 4
"""The pixel limit of a whole form, as a multiple of that of one picture: by default it admits five photographs of 12
megapixels, about as many as a body of 16 MiB holds."""


def _awaited() -> bool:
    return False


@dataclass(frozen=True)
class Reader:
    """Reads bodies for models of one signature.

    `max_pixels` limits width times height of an image, and four times that those of a form together; `max_rows` limits
    the examples of one request.
    """

    signature: Signature
    max_pixels: int
    max_rows: int

    @cached_property
    def media_types(self) -> tuple[str, ...]:
        """The accepted content types."""
        return (JSON, OCTETS) if self._table else (JSON, *PICTURES, multipart.MEDIA_TYPE, OCTETS)

    def read_inline(self, media_type: str, content_type: bytes, body: bytes) -> Examples | None:
        """The examples of a body, or None if reading it would take more than a millisecond.

        Raises Problem 400, 413 or 422.
        """
        if media_type == multipart.MEDIA_TYPE or (len(body) > INLINE_BYTES and media_type != OCTETS):
            return None
        try:
            return self._read(media_type, content_type, body, min(INLINE_PIXELS, self.max_pixels))
        except TooLarge:
            return None

    def read(
        self, media_type: str, content_type: bytes, body: bytes, abandoned: Callable[[], bool] = _awaited
    ) -> Examples:
        """The same, however long it takes; between the files of a form it stops with Shed once it is `abandoned`."""
        try:
            return self._read(media_type, content_type, body, self.max_pixels, abandoned)
        except TooLarge as error:
            raise Problem(413, str(error)) from None

    @cached_property
    def _table(self) -> bool:
        return self.signature.kind == "table"

    def _read(
        self,
        media_type: str,
        content_type: bytes,
        body: bytes,
        max_pixels: int,
        abandoned: Callable[[], bool] = _awaited,
    ) -> Examples:
        match media_type:
            case "application/json" | "application/octet-stream" if self._table:
                return self._few(self._rows(media_type, body))
            case "application/json":
                return self._few(pixels.from_json(body, self.signature.shape))
            case "application/octet-stream":
                return self._few(pixels.from_octets(body, self.signature.shape))
            case multipart.MEDIA_TYPE:
                return self._pictures(multipart.files(content_type, body, self.max_rows), abandoned)
        return self._picture(body, max_pixels)[0]

    def _rows(self, media_type: str, body: bytes) -> Examples:
        width = self.signature.shape[0]
        if media_type == OCTETS:
            values = rows.from_octets(body, width)
        else:
            values = rows.from_json(body, width, self.signature.columns)
        return values.astype(self.signature.dtype, copy=False)

    def _pictures(self, files: list[bytes], abandoned: Callable[[], bool]) -> Examples:
        images = []
        total = left = TOGETHER * self.max_pixels
        for index, file in enumerate(files):
            if abandoned():
                raise Shed("deadline", "nobody waits for the answer")
            try:
                image, size = self._picture(file, min(self.max_pixels, left))
            except TooLarge as error:
                if left < self.max_pixels:
                    raise Problem(413, f"the first {index + 1} files are over the limit of {total} pixels") from None
                raise Problem(413, f"file {index}: {error}") from None
            except Problem as problem:
                raise Problem(problem.status, f"file {index}: {problem.detail}") from None
            images.append(image)
            left -= size
        return np.concatenate(images)

    def _picture(self, file: bytes, max_pixels: int) -> tuple[Examples, int]:
        """A picture as the model takes it, and how many pixels it had."""
        image = pixels.image(file, max_pixels)
        return pixels.from_image(image, self.signature), image.width * image.height

    def _few(self, examples: Examples) -> Examples:
        if len(examples) > self.max_rows:
            raise Problem(413, f"inputs are {len(examples)}; accepted: {self.max_rows} in one request")
        return examples
