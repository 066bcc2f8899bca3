"""From the bytes of a picture to the pixels that a signature asks for: the one rule, in training and in serving.

Orientation tags are applied, transparency is laid over black (the ground of the data sets that came without it),
colour becomes grey by ITU-R 601 luma where the signature is grey, and other sizes are resampled with an
antialiasing bilinear filter without keeping the aspect ratio.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tailorbird.errors import InvalidInput, TooLarge

FORMATS = ("PNG", "JPEG", "WEBP")


def decode(data: bytes, max_pixels: int) -> Image.Image:
    """Read one PNG, JPEG or WebP image; nothing is decompressed beyond `max_pixels`.

    Raises TooLarge for an image over that limit or Pillow's own, InvalidInput for what is no such image.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > max_pixels:
            raise TooLarge("image", f"{image.width}x{image.height} pixels is over the limit of {max_pixels}")
        image.load()
    except UnidentifiedImageError:  # its own text names a buffer's address
        raise InvalidInput("image", "is not a PNG, JPEG or WebP image") from None
    except Image.DecompressionBombError as error:
        raise TooLarge("image", str(error)) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInput("image", f"cannot be decoded as PNG, JPEG or WebP ({error})") from None
    return image


def to_signature(image: Image.Image, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Bring an image to uint8 pixels of `shape`: [height, width], or [height, width, 3] for colour.

    Raises InvalidInput for one whose palette does not fit its pixels.
    """
    try:
        return _converted(_upright(image), shape)
    except ValueError as error:
        raise InvalidInput("image", f"cannot be converted ({error})") from None


def _converted(image: Image.Image, shape: Sequence[int]) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):  # 16 bits a channel: Pillow's own conversion would clip instead of scale
        deep = np.asarray(image).astype(np.int32)
        deep[deep == image.info.get("transparency", -1)] = 0
        image = Image.fromarray((deep >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    image = image.convert("RGB" if len(shape) == 3 else "L")
    if image.size != (shape[1], shape[0]):
        image = image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # of many kinds, for tags that are damaged: they say nothing, and the pixels are whole
        return image
