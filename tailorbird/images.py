"""Conversion of image files to the pixels of a signature, the same in training and serving.

Orientation tags are applied, transparency is drawn over the grey of the signature, images of more than 8 bits keep the
upper 8 of the bits that the signature's data set used, colour becomes grey by ITU-R 601 luma if the signature is grey,
and other sizes are resampled with an antialiasing bilinear filter without keeping the aspect ratio.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tailorbird.errors import InvalidInput, TooLarge
from tailorbird.package.signature import DEPTH, GROUND

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
PNG = b"\x89PNG\r\n\x1a\n"


def decode(data: bytes, max_pixels: int) -> Image.Image:
    """Read one PNG, JPEG or WebP image; nothing is decompressed beyond `max_pixels`.

    Raises TooLarge for an image over that limit or Pillow's own, InvalidInput if it is not such an image.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > max_pixels:
            raise TooLarge("image", f"{image.width}x{image.height} pixels is over the limit of {max_pixels}")
        image.load()
    except UnidentifiedImageError:  # Pillow's message contains a memory address
        raise InvalidInput("image", "is not a PNG, JPEG or WebP image") from None
    except Image.DecompressionBombError as error:
        raise TooLarge("image", str(error)) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInput("image", f"cannot be decoded as PNG, JPEG or WebP ({error})") from None
    return image


def to_signature(
    image: Image.Image, shape: Sequence[int], depth: int = DEPTH, ground: int = GROUND
) -> NDArray[np.uint8]:
    """Bring an image to uint8 pixels of `shape`: [height, width], or [height, width, 3] for colour.

    `depth` is the number of bits in use in a grey image of more than 8, `ground` the grey under transparency. Raises
    InvalidInput if its palette does not fit its pixels.
    """
    try:
        return _converted(_upright(image), shape, depth, ground)
    except ValueError as error:
        raise InvalidInput("image", f"cannot be converted ({error})") from None


def is_deep(image: Image.Image) -> bool:
    """Whether it has one channel of more than 8 bits, which Pillow's conversion would clip instead of scale."""
    return image.mode.startswith(("I", "F"))


def _converted(image: Image.Image, shape: Sequence[int], depth: int, ground: int) -> NDArray[np.uint8]:
    if is_deep(image):
        deep = np.asarray(image).astype(np.int32)
        grey = (deep.clip(0, 2**depth - 1) >> (depth - 8)).astype(np.uint8)
        grey[deep == image.info.get("transparency", -1)] = ground
        image = Image.fromarray(grey)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (ground, ground, ground, 255)), image)
    mode = "RGB" if len(shape) == 3 else "L"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (shape[1], shape[0]):
        image = image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.frombuffer(image.tobytes(), np.uint8).reshape(shape)  # in half the time of `asarray`


def _upright(image: Image.Image) -> Image.Image:
    if not image.info:  # no tags, which are looked for in many places
        return image
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow raises many kinds for damaged tags, which are ignored: the pixels are intact
        return image
