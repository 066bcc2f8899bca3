import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

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
        result = pixels.from_lists(inputs, shape)
    except Problem as problem:
        assert problem.status == 422
    else:
        assert result.tolist() == inputs
        assert json.dumps(inputs) == json.dumps(result.tolist())  # 1 == True, but not in JSON


@given(SHAPES.flatmap(lambda shape: arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), *map(st.just, shape)))))
def test_json_and_octets_become_the_same_array(images):
    body = json.dumps({"inputs": images.tolist()}).encode()
    assert np.array_equal(pixels.from_json(body, images.shape[1:]), images)
    assert np.array_equal(pixels.from_octets(images.tobytes(), images.shape[1:]), images)


@given(st.lists(NESTED, min_size=1, max_size=3), SHAPES)
def test_never_takes_json_that_is_no_image(inputs, shape):
    """The quick way and the one that names the fault agree on what is one."""
    try:
        expected = pixels.from_lists(inputs, shape)
    except Problem as problem:
        with pytest.raises(Problem) as caught:
            pixels.from_json(json.dumps({"inputs": inputs}).encode(), shape)
        assert caught.value.status in (400, problem.status)  # NaN is no JSON
    else:
        assert np.array_equal(pixels.from_json(json.dumps({"inputs": inputs}).encode(), shape), expected)


@pytest.mark.parametrize("size", [0, 5, 7, 13])
def test_octets_that_are_no_images(size):
    with pytest.raises(Problem, match=f"the body has {size} bytes; accepted: images of 3x2 bytes") as caught:
        pixels.from_octets(bytes(size), (3, 2))
    assert caught.value.status == 422
