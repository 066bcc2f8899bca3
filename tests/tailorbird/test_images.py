import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.Image import Transpose

from tailorbird import images
from tailorbird.errors import InvalidInput, TooLarge

LIMIT = 1_000_000
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def encoded(image, kind="PNG", **more):
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def pixels(data, shape):
    return images.to_signature(images.decode(data, LIMIT), shape)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows=b"", more=b""):
    """A PNG by hand, for what Pillow does not write; `rows` begin with their filter byte each."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


# --- modes


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_pixels_in_the_size_and_mode_of_the_signature_come_through_untouched(kind):
    assert (pixels(encoded(Image.fromarray(COLOUR), kind, lossless=True), (3, 4, 3)) == COLOUR).all()
    if kind == "PNG":
        assert (pixels(encoded(Image.fromarray(GREY)), (3, 4)) == GREY).all()


def test_grey_becomes_colour_with_three_equal_channels():
    assert (pixels(encoded(Image.fromarray(GREY)), (3, 4, 3)) == GREY[:, :, None]).all()


def test_colour_becomes_grey_by_luma_601():
    expected = COLOUR @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels(encoded(Image.fromarray(COLOUR)), (3, 4)) - expected).max() <= 1


def test_black_and_white_becomes_0_and_255():
    assert pixels(encoded(Image.fromarray(GREY > 100)), (3, 4)).tolist() == (255 * (GREY > 100)).tolist()


@pytest.mark.parametrize("alpha", [0, 51, 128, 255])
def test_transparency_is_laid_over_black(alpha):
    rgba = Image.new("RGBA", (4, 3), (200, 100, 50, alpha))
    assert pixels(encoded(rgba), (3, 4, 3))[0, 0].tolist() == [round(c * alpha / 255) for c in (200, 100, 50)]
    assert pixels(encoded(rgba, "WEBP", lossless=True, exact=True), (3, 4, 3))[0, 0, 0] == round(200 * alpha / 255)
    assert pixels(encoded(Image.new("LA", (4, 3), (200, alpha))), (3, 4))[0, 0] == round(200 * alpha / 255)


def test_a_palette_gives_its_colours_and_its_transparent_entries_black():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    red, green, blue = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    assert pixels(encoded(image), (1, 3, 3)).tolist() == [[red, green, blue]]
    assert pixels(encoded(image, transparency=1), (1, 3, 3)).tolist() == [[red, [0, 0, 0], blue]]
    half = pixels(encoded(image, transparency=bytes([255, 128, 0])), (1, 3, 3)).tolist()
    assert half == [[red, [0, 128, 0], [0, 0, 0]]]
    assert pixels(encoded(image), (1, 3)).tolist() == [[76, 150, 29]]


def test_a_transparent_colour_is_black():
    image = Image.fromarray(COLOUR)
    colour = tuple(int(c) for c in COLOUR[1, 2])
    expected = COLOUR.copy()
    expected[1, 2] = 0
    assert (pixels(encoded(image, transparency=colour), (3, 4, 3)) == expected).all()
    assert pixels(encoded(Image.fromarray(GREY), transparency=220), (3, 4))[2, 3] == 0


def test_of_16_bits_the_high_8_count():
    values = [0x0000, 0x00FF, 0x0100, 0xABCD, 0xFFFF]
    row = b"\0" + struct.pack(">5H", *values)
    assert pixels(png(5, 1, 16, 0, row), (1, 5)).tolist() == [[0x00, 0x00, 0x01, 0xAB, 0xFF]]
    assert pixels(png(5, 1, 16, 0, row, more=chunk(b"tRNS", b"\xff\xff")), (1, 5)).tolist() == [
        [0x00, 0x00, 0x01, 0xAB, 0x00]
    ]
    colour = b"\0" + struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)
    assert pixels(png(1, 1, 16, 2, colour), (1, 1, 3)).tolist() == [[[0x12, 0x56, 0x9A]]]


@pytest.mark.parametrize(
    ("mode", "ink", "expected"), [("CMYK", (0, 0, 0, 0), 255), ("CMYK", (0, 0, 0, 255), 0), ("L", 100, 100)]
)
def test_jpegs_of_print_and_of_grey(mode, ink, expected):
    data = encoded(Image.new(mode, (16, 16), ink), "JPEG", quality=95)
    assert np.abs(pixels(data, (16, 16, 3)).astype(int) - expected).max() <= 3
    assert np.abs(pixels(data, (16, 16)).astype(int) - expected).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_picture_counts(kind):
    first, second = Image.new("RGB", (4, 3), (9, 9, 9)), Image.new("RGB", (4, 3), (200, 0, 0))
    data = encoded(first, kind, save_all=True, append_images=[second], lossless=True)
    assert (pixels(data, (3, 4, 3)) == 9).all()


# --- orientation

UPRIGHT = {
    1: None, 2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_90, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_270,
}  # fmt: skip


@pytest.mark.parametrize(("tag", "turn"), UPRIGHT.items())
def test_a_picture_that_was_taken_turned_comes_out_upright(tag, turn):
    taken = Image.fromarray(GREY) if turn is None else Image.fromarray(GREY).transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = tag
    assert (pixels(encoded(taken, exif=exif), (3, 4)) == GREY).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("damage", [b"", b"no tags", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff\x12\x01"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_tags_say_nothing(kind, damage):
    assert pixels(encoded(NOISE, kind, exif=b"Exif\0\0" + damage), (40, 50, 3)).shape == (40, 50, 3)


def test_tags_that_pillow_cannot_read_say_nothing(monkeypatch):
    def fail(_):
        raise struct.error("unpack requires a buffer of 12 bytes")

    monkeypatch.setattr(ImageOps, "exif_transpose", fail)
    assert (pixels(encoded(Image.fromarray(GREY)), (3, 4)) == GREY).all()


# --- sizes


def test_other_sizes_are_averaged_and_not_picked_from():
    stripes = np.zeros((28, 56), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(pixels(encoded(Image.fromarray(stripes)), (28, 28)).astype(int) - 100).max() <= 35
    assert pixels(encoded(Image.fromarray(stripes)), (7, 7)).std() < 5


def test_height_comes_before_width():
    assert pixels(encoded(Image.new("L", (50, 40))), (20, 10)).shape == (20, 10)
    left = np.zeros((40, 40), np.uint8)
    left[:, :20] = 255
    small = pixels(encoded(Image.fromarray(left)), (8, 4))
    assert (small[:, 0] == 255).all() and (small[:, -1] == 0).all()


@pytest.mark.parametrize("depth", [10, 12, 16])
def test_of_deep_pixels_the_upper_bits_of_those_that_are_used_are_kept(depth):
    deep = Image.fromarray((GREY.astype(np.uint16) << (depth - 8)) + 1)
    assert (images.to_signature(deep, (3, 4), depth) == GREY).all()


@profile(deadline=None, max_examples=60)
@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16", "I"]),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    shape=st.tuples(st.integers(1, 32), st.integers(1, 32)),
    colour=st.booleans(),
)
def test_whatever_comes_in_the_signature_comes_out(mode, size, shape, colour):
    wanted = (*shape, 3) if colour else shape
    result = images.to_signature(Image.new(mode, size), wanted)
    assert result.shape == wanted and result.dtype == np.uint8


# --- what is no picture, or too large


@pytest.mark.parametrize(
    "data",
    [b"", b"poem", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff"],
)
def test_what_is_no_picture_is_invalid(data):
    with pytest.raises(InvalidInput, match=r"^image: ") as refused:
        images.decode(data, LIMIT)
    assert not isinstance(refused.value, TooLarge) and " at 0x" not in str(refused.value)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "ICO", "PDF", "TGA"])
def test_a_picture_of_another_kind_is_invalid(kind):
    with pytest.raises(InvalidInput, match=r"^image: is not a PNG, JPEG or WebP image$"):
        images.decode(encoded(NOISE, kind), LIMIT)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_is_cut_anywhere_is_invalid(kind):
    data = encoded(NOISE, kind)
    whole = images.decode(data, LIMIT).tobytes()
    for cut in range(len(data) - (24 if kind == "PNG" else 0)):  # a PNG's last 24 bytes are sums and its end mark
        with pytest.raises(InvalidInput):
            images.decode(data[:cut], LIMIT)
    assert images.decode(data, LIMIT).tobytes() == whole


@profile(deadline=None, max_examples=300)
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.data())
def test_a_damaged_picture_is_invalid_or_still_a_picture(kind, data):
    damaged = bytearray(encoded(NOISE.resize((6, 5)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = images.decode(bytes(damaged), LIMIT)
    except InvalidInput:
        return
    assert images.to_signature(image, (4, 4)).shape == (4, 4)


@pytest.mark.parametrize(
    "more",
    [
        chunk(b"zTXt", b"name\0\0" + zlib.compress(bytes(2**21))),  # 2 KB that would become 2 MB
        chunk(b"tRNS", b"\xff"),
        chunk(b"IDAT", zlib.compress(b"")) + b"\0\0\0\1\xff\xff\xff\xffdata",
        chunk(b"IHDR", b"cut"),
    ],
    ids=["bloated text", "cut transparency", "a chunk without a name", "a second header"],
)
def test_a_png_whose_chunks_are_wrong_is_invalid(more):
    with pytest.raises(InvalidInput, match="cannot be decoded as PNG, JPEG or WebP"):
        images.decode(png(4, 4, 8, 0, bytes(20), more), LIMIT)


def test_the_limit_is_of_pixels_and_itself_allowed():
    data = encoded(NOISE)  # 50 x 40
    assert images.decode(data, 2000).size == (50, 40)
    with pytest.raises(TooLarge, match=r"^image: 50x40 pixels is over the limit of 1999$"):
        images.decode(data, 1999)


@pytest.mark.parametrize("limit", [LIMIT, 10**12])
def test_a_bomb_is_too_large_before_anything_of_it_is_unpacked(limit, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("unpacked"))
    bomb = png(50_000, 50_000, 8, 0, bytes(1000))
    with warnings.catch_warnings(), pytest.raises(TooLarge, match=r"^image: "):
        warnings.simplefilter("error")
        images.decode(bomb, limit)


def test_a_palette_that_does_not_fit_is_told():
    palette, few = chunk(b"PLTE", bytes(range(48))), chunk(b"tRNS", bytes(300))
    data = png(4, 3, 8, 3, b"".join(b"\0" + bytes(4) for _ in range(3)), palette + few)
    with pytest.raises(InvalidInput, match=r"^image: cannot be "):
        pixels(data, (3, 4))
