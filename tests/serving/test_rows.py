import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serving import rows
from serving.problems import Problem

COLUMNS = ("length", "width", "a column")
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.just(3)), elements=FINITE))
def test_all_forms_become_the_same_rows(values):
    lists = json.dumps({"inputs": values.tolist()}).encode()
    objects = json.dumps({"inputs": [dict(zip(COLUMNS, row, strict=True)) for row in values.tolist()]}).encode()
    for result in (
        rows.from_json(lists, 3, COLUMNS),
        rows.from_json(objects, 3, COLUMNS),
        rows.from_octets(values.astype("<f8").tobytes(), 3),
    ):
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result, values)


def test_integers_and_the_order_of_keys():
    body = b'{"inputs": [{"a column": 3, "width": 2, "length": 1}, [4, 5, 6.5]]}'
    assert rows.from_json(body, 3, COLUMNS).tolist() == [[1, 2, 3], [4, 5, 6.5]]


def test_a_column_may_be_named_in_any_form():
    body = json.dumps({"inputs": [{"Gro\u0308\u00dfe": 1, " weight": 2}]}).encode()
    assert rows.from_json(body, 2, ("Gr\u00f6\u00dfe", "weight")).tolist() == [[1, 2]]
    with pytest.raises(Problem, match=r"^inputs\[0\] has a column twice, in two forms of its name"):
        rows.from_json(b'{"inputs": [{"a ": 1, "a": 2}]}', 2, ("a", "b"))


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ([[1, 2]], "inputs[0] is a list of 2; accepted: a list of 3 numbers or an object with its columns"),
        ([[1, 2, 3], 5], "inputs[1] is 5; accepted: a list of 3 numbers or an object with its columns"),
        ([[1, 2, "3"]], "inputs[0][2] is '3'; accepted: a number"),
        ([[1, 2, True]], "inputs[0][2] is true; accepted: a number"),
        ([[1, None, 3]], "inputs[0][1] is null; accepted: a number"),
        ([[1, [2], 3]], "inputs[0][1] is a list of 1; accepted: a number"),
        ([{"length": 1, "width": 2}], "inputs[0] has no column 'a column'; accepted: length, width, a column"),
        (
            [{"length": 1, "width": 2, "a column": 3, "more": 4}],
            "inputs[0] has an unknown column 'more'; accepted: length, width, a column",
        ),
        ([[1, 2, 3], {"length": 1, "width": "x", "a column": 3}], "inputs[1].width is 'x'; accepted: a number"),
    ],
)
def test_names_the_first_wrong_thing(inputs, sentence):
    with pytest.raises(Problem) as caught:
        rows.from_json(json.dumps({"inputs": inputs}).encode(), 3, COLUMNS)
    assert (caught.value.status, caught.value.detail) == (422, sentence)


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"1e999", b"1" + b"0" * 400])
def test_what_is_no_json_or_no_number(word):
    with pytest.raises(Problem) as caught:
        rows.from_json(b'{"inputs": [[1, 2, ' + word + b"]]}", 3, None)
    assert caught.value.status == 400


@pytest.mark.parametrize("size", [0, 23, 25, 36])
def test_octets_that_are_no_rows(size):
    with pytest.raises(Problem, match=f"the body has {size} bytes; accepted: rows of 3 float64"):
        rows.from_octets(bytes(size), 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_octets_that_are_no_numbers(value):
    values = np.zeros((4, 3))
    values[2, 1] = value
    with pytest.raises(Problem, match=rf"inputs\[2\]\[1\] is {value}; accepted: a number"):
        rows.from_octets(values.tobytes(), 3)
