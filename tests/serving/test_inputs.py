import io
import json
import zlib
from dataclasses import replace

import httpx
import numpy as np
import pytest
from PIL import Image

from serving import inputs
from serving.inputs import Reader
from serving.problems import Problem


@pytest.fixture
def reader(loaded):
    return Reader(loaded.signature.model_copy(update={"shape": (3, 2)}), max_pixels=10**6, max_rows=20_000)


def picture(kind, size=(2, 3)):
    file = io.BytesIO()
    Image.new("L", size, 200).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()


def with_size(width, height) -> bytes:
    """The head of a PNG that says so, and the pixels of a small one."""
    head = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    return picture("PNG")[:12] + head + zlib.crc32(head).to_bytes(4) + picture("PNG")[33:]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_files_of_pictures(reader, kind):
    pixels = reader.read_inline(f"image/{kind.lower()}", b"", picture(kind))
    assert (pixels.shape, pixels.dtype) == ((1, 3, 2), np.uint8)
    assert np.all(pixels == 200)


@pytest.mark.parametrize("read", [Reader.read, Reader.read_inline])
@pytest.mark.parametrize("body", [b"no picture", picture("PNG")[:-30], b""])
def test_what_is_no_picture(reader, read, body):
    with pytest.raises(Problem) as caught:
        read(reader, "image/png", b"", body)
    assert caught.value.status == 400
    assert "0x" not in caught.value.detail


@pytest.mark.parametrize("size", [(1001, 1000), (20_000, 20_000)])
def test_a_picture_that_is_too_large_is_never_read(reader, size):
    assert reader.read_inline("image/png", b"", with_size(*size)) is None
    with pytest.raises(Problem) as caught:
        replace(reader, max_pixels=10**6 if size[0] < 2000 else 10**9).read("image/png", b"", with_size(*size))
    assert caught.value.status == 413


def test_a_large_picture_is_not_read_inline(reader):
    body = picture("PNG", (300, 300))
    assert reader.read_inline("image/png", b"", body) is None
    assert reader.read("image/png", b"", body).shape == (1, 3, 2)


def test_a_large_json_is_not_read_inline(reader):
    images = np.arange(20_000 * 6).reshape(-1, 3, 2) % 256
    body = json.dumps({"inputs": images.tolist()}).encode()
    assert len(body) > inputs.INLINE_BYTES
    assert reader.read_inline("application/json", b"", body) is None
    assert np.array_equal(reader.read("application/json", b"", body), images)


@pytest.mark.parametrize("media_type", ["application/json", "application/octet-stream"])
def test_more_rows_than_are_taken(reader, media_type):
    images = np.zeros((4, 3, 2), np.uint8)
    body = images.tobytes() if "octet" in media_type else json.dumps({"inputs": images.tolist()}).encode()
    assert len(replace(reader, max_rows=4).read(media_type, b"", body)) == 4
    with pytest.raises(Problem, match="inputs are 4; accepted: 3 in one request") as caught:
        replace(reader, max_rows=3).read(media_type, b"", body)
    assert caught.value.status == 413


def form(*contents: bytes) -> tuple[bytes, bytes]:
    files = [("files", (f"{index}.png", content)) for index, content in enumerate(contents)]
    request = httpx.Request("POST", "http://here", files=files)
    return request.headers["content-type"].encode(), request.read()


def test_several_files(reader):
    content_type, body = form(picture("PNG"), picture("JPEG"), picture("WEBP"))
    assert reader.read_inline("multipart/form-data", content_type, body) is None
    assert np.all(reader.read("multipart/form-data", content_type, body) == np.full((3, 3, 2), 200))


@pytest.mark.parametrize(("content", "status"), [(b"no picture", 400), (with_size(5000, 5000), 413)])
def test_one_of_several_files_is_wrong(reader, content, status):
    with pytest.raises(Problem, match=r"^file 1: ") as caught:
        reader.read("multipart/form-data", *form(picture("PNG"), content))
    assert caught.value.status == status


def test_files_that_are_too_large_together(reader):
    four, five = form(*[picture("PNG")] * 4), form(*[picture("PNG")] * 5)
    tight = replace(reader, max_pixels=6)
    assert tight.read("multipart/form-data", *four).shape == (4, 3, 2)
    with pytest.raises(Problem, match="the first 5 files are over the limit of 24 pixels") as caught:
        tight.read("multipart/form-data", *five)
    assert caught.value.status == 413


def test_a_form_that_nobody_waits_for_is_not_read_on(reader):
    answers = iter([False, True])
    with pytest.raises(Problem, match="nobody waits"):
        reader.read("multipart/form-data", *form(picture("PNG"), picture("JPEG"), b"no picture"), answers.__next__)
    assert not [*answers]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_a_table(loaded, dtype):
    signature = loaded.signature.model_copy(
        update={"kind": "table", "shape": (2,), "dtype": dtype, "columns": ("x", "y")}
    )
    reader = Reader(signature, max_pixels=1, max_rows=2)
    assert reader.media_types == ("application/json", "application/octet-stream")
    for media_type, body in (
        ("application/json", b'{"inputs": [[1, 2], {"y": 4, "x": 3}]}'),
        ("application/octet-stream", np.array([[1, 2], [3, 4]], "<f8").tobytes()),
    ):
        rows = reader.read_inline(media_type, b"", body)
        assert (rows.tolist(), rows.dtype) == ([[1, 2], [3, 4]], dtype)
    with pytest.raises(Problem, match="inputs are 3; accepted: 2 in one request"):
        reader.read("application/json", b"", b'{"inputs": [[1, 2], [1, 2], [1, 2]]}')
