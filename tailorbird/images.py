"""From the bytes of a picture to the pixels that a signature asks for: the one rule, in training and in serving.

Orientation tags are applied, transparency is laid over black (the ground of the data sets that came without it),
colour becomes grey by ITU-R 601 luma where the signature is grey, and other sizes are resampled with an
antialiasing bilinear filter without keeping the aspect ratio.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tailorbird.errors import InvalidInput

FORMATS = ("PNG", "JPEG", "WEBP")


def decode(data: bytes, max_pixels: int) -> Image.Image:
    """Read one PNG, JPEG or WebP image, or raise InvalidInput; nothing is decompressed beyond `max_pixels`."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > max_pixels:
            raise InvalidInput("image", f"{image.width}x{image.height} pixels is over the limit of {max_pixels}")
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidInput("image", f"cannot be decoded as PNG, JPEG or WebP ({error})") from None
    return image


def to_signature(image: Image.Image, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Bring an image to uint8 pixels of `shape`: [height, width], or [height, width, 3] for colour."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16 bits a channel: Pillow's own conversion would clip instead of scale
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    image = image.convert("RGB" if len(shape) == 3 else "L")
    if image.size != (shape[1], shape[0]):
        image = image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)
