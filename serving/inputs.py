"""From a request's body to what the model takes, whatever form it was sent in."""

from dataclasses import dataclass

from serving import pixels
from serving.answers import JSON
from serving.pixels import Pixels
from serving.problems import Problem
from tailorbird.errors import TooLarge
from tailorbird.package.signature import Signature

OCTETS = "application/octet-stream"
PICTURES = ("image/png", "image/jpeg", "image/webp")
MEDIA_TYPES = (JSON, *PICTURES, OCTETS)
INLINE_BYTES = 64 * 1024
INLINE_PIXELS = 256 * 256


@dataclass(frozen=True)
class Reader:
    """Reads bodies for models of one signature.

    `max_pixels` is of an image, width times height, `max_rows` is how many examples one request may have.
    """

    signature: Signature
    max_pixels: int
    max_rows: int

    def read_inline(self, media_type: str, body: bytes) -> Pixels | None:
        """The examples [N, …] of a body, or None where reading it would take more than a millisecond.

        Raises Problem 400, 413 or 422.
        """
        if len(body) > INLINE_BYTES and media_type != OCTETS:
            return None
        try:
            return self._read(media_type, body, min(INLINE_PIXELS, self.max_pixels))
        except TooLarge:
            return None

    def read(self, media_type: str, body: bytes) -> Pixels:
        """The same, however long it takes."""
        try:
            return self._read(media_type, body, self.max_pixels)
        except TooLarge as error:
            raise Problem(413, str(error)) from None

    def _read(self, media_type: str, body: bytes, max_pixels: int) -> Pixels:
        match media_type:
            case "application/json":
                return self._few(pixels.from_json(body, self.signature.shape))
            case "application/octet-stream":
                return self._few(pixels.from_octets(body, self.signature.shape))
        return pixels.from_image(body, self.signature.shape, max_pixels)

    def _few(self, examples: Pixels) -> Pixels:
        if len(examples) > self.max_rows:
            raise Problem(413, f"inputs are {len(examples)}; accepted: {self.max_rows} in one request")
        return examples
