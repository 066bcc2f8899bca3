"""Pictures as arrays, for tests that look at them."""

import io

import numpy as np
from PIL import Image

BLUE, ORANGE, GREY = (0x4C, 0x72, 0xB0), (0xDD, 0x84, 0x52), (0x99, 0x99, 0x99)


def pixels(png, most=1700):
    """Decoded [H, W, 3]; and a picture with something on it, of a size that a page can show."""
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    assert min(image.size) > 200 and max(image.size) <= most
    coloured = image.convert("RGB")
    assert coloured.getcolors(20) is None  # there are more
    return np.asarray(coloured)


def painted(picture, color):
    """How many pixels have exactly this colour, given as in #aabbcc or as three numbers."""
    if isinstance(color, str):
        color = tuple(bytes.fromhex(color[1:]))
    return int((picture == color).all(2).sum())
