import asyncio
import io
import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from serving import pixels
from serving.problems import Problem

SHAPES = st.sampled_from([(3, 2), (2, 3, 3)])


def grey(value, shape=(3, 2)):
    return np.full(shape, value).tolist()


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), *map(st.just, shape)))))
def test_lists_become_the_same_array(images):
    assert np.array_equal(pixels.from_lists(images.tolist(), images.shape[1:]), images)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        (grey(0), "inputs[0] is a list of 2, not a list of 3; accepted: images of 3x2 integers from 0 to 255"),
        ([5], "inputs[0] is 5, not a list of 3"),
        ([grey(0), {}], "inputs[1] is an object, not a list of 3"),
        ([grey(0), grey(0)[:2]], "inputs[1] is a list of 2, not a list of 3"),
        ([grey(0), [[0, 0], [0, 0], [0]]], "inputs[1][2] is a list of 1, not a list of 2"),
        ([[[0, 0], "ab", [0, 0]]], "inputs[0][1] is 'ab', not a list of 2"),
        ([grey(0), [[0, 0], [0, 256], [0, 0]]], "inputs[1][1][1] is 256; accepted: an integer from 0 to 255"),
        ([[[0, 0], [0, 0], [-1, 0]]], "inputs[0][2][0] is -1"),
        ([[[0, 2**63], [0, 0], [0, 0]]], "inputs[0][0][1] is 9223372036854775808"),
        ([[[0, 0], [0, 1.0], [0, 0]]], "inputs[0][1][1] is 1.0"),
        ([[[0, 0], [0, 0], [True, 0]]], "inputs[0][2][0] is true"),
        ([[[0, 0], [0, 0], [0, None]]], "inputs[0][2][1] is null"),
        ([[[0, 0], [0, "1"], [0, 0]]], "inputs[0][1][1] is '1'"),
        ([[[[0], 0], [0, 0], [0, 0]]], "inputs[0][0][0] is a list of 1"),
    ],
)
def test_names_the_first_wrong_thing(inputs, sentence):
    with pytest.raises(Problem) as caught:
        pixels.from_lists(inputs, (3, 2))
    assert caught.value.status == 422
    assert caught.value.detail.startswith(sentence)


NUMBERS = st.one_of(st.integers(-1, 256), st.booleans(), st.floats(), st.none(), st.text(max_size=2))
NESTED = st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=3), max_leaves=20)


@given(st.lists(NESTED, min_size=1, max_size=3), SHAPES)
def test_never_takes_what_is_no_image(inputs, shape):
    try:
        found = pixels.from_lists(inputs, shape)
    except Problem as problem:
        assert problem.status == 422
    else:
        assert found.tolist() == inputs
        assert json.dumps(inputs) == json.dumps(found.tolist())  # 1 == True, but not in JSON


def picture(kind, size=(2, 3)):
    file = io.BytesIO()
    Image.new("L", size, 200).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()


def read(media_type, body, max_pixels=10**6):
    return asyncio.run(pixels.read(media_type, body, (3, 2), max_pixels))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_files_of_pictures(kind):
    found = read(f"image/{kind.lower()}", picture(kind))
    assert (found.shape, found.dtype) == ((1, 3, 2), np.uint8)
    assert np.all(found == 200)


def test_a_large_picture_is_read_in_a_thread(monkeypatch):
    ways = []
    monkeypatch.setattr(
        asyncio, "to_thread", lambda *args, to_thread=asyncio.to_thread: ways.append(args) or to_thread(*args)
    )
    assert read("image/png", picture("PNG", (300, 300))).shape == (1, 3, 2)
    assert len(ways) == 1
    read("image/png", picture("PNG"))
    assert len(ways) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"no picture", 400), (picture("PNG")[:-30], 400), (b"", 400), (picture("PNG", (1001, 1000)), 413)],
)
def test_what_is_no_picture(body, status):
    with pytest.raises(Problem) as caught:
        read("image/png", body)
    assert caught.value.status == status
    assert "0x" not in caught.value.detail


def test_more_pixels_than_pillow_would_open():
    head = b"IHDR" + (20_000).to_bytes(4) + (20_000).to_bytes(4) + bytes([8, 0, 0, 0, 0])
    body = picture("PNG")[:12] + head + zlib.crc32(head).to_bytes(4) + picture("PNG")[33:]
    with pytest.raises(Problem) as caught:
        read("image/png", body, max_pixels=10**9)
    assert caught.value.status == 413


def test_a_large_json_is_read_like_a_small_one():
    images = np.arange(20_000 * 6).reshape(-1, 3, 2) % 256
    body = json.dumps({"inputs": images.tolist()}).encode()
    assert len(body) > pixels.INLINE_BYTES
    assert np.array_equal(read("application/json", body), images)
