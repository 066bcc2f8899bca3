import json

import pytest

from tailorbird.errors import Corrupt
from tailorbird.package.signature import Signature

IMAGE = {
    "kind": "image", "shape": [28, 28], "dtype": "uint8", "classes": ["a", "b"], "columns": None,
    "depth": 12, "ground": 255, "objective": "binary", "temperature": 1.5,
}  # fmt: skip
TABLE = {**IMAGE, "kind": "table", "shape": [2], "dtype": "float32", "columns": ["age", "height"]}


def parse(**changes):
    return Signature.parse(json.dumps({**IMAGE, **changes}).encode())


@pytest.mark.parametrize("kind", [IMAGE, TABLE])
def test_what_is_written_is_read(kind):
    signature = Signature.of(kind)
    assert signature.record() == kind
    assert Signature.parse(signature.encode()) == signature


@pytest.mark.parametrize(
    ("changes", "words", "thing"),
    [
        ({"shape": [28, 30]}, "grey images of 28 × 30 pixels", "image"),
        ({"shape": [32, 32, 3]}, "colour images of 32 × 32 pixels", "image"),
        (TABLE, "rows of age, height", "row"),
        ({**TABLE, "columns": None}, "rows of numbers", "row"),
    ],
)
def test_the_input_in_words(changes, words, thing):
    assert (parse(**changes).input, parse(**changes).thing) == (words, thing)


@pytest.mark.parametrize("key", sorted(IMAGE.keys() - {"columns", "depth", "ground"}))
def test_every_key_must_be_there(key):
    rest = {name: value for name, value in IMAGE.items() if name != key}
    with pytest.raises(Corrupt, match=rf"^signature\.json: {key}: is missing$"):
        Signature.of(rest)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "sound"}, "kind: must be 'image' or 'table', not 'sound'"),
        ({"shape": []}, "shape: "),
        ({"shape": "wide"}, "shape: "),
        ({"shape": [28, -1]}, "shape.1: "),
        ({"shape": [28, True]}, "shape.1: "),
        ({"shape": [1, 2, 3, 4]}, "shape: "),
        ({"shape": [28]}, "image does not go with shape [28] of uint8"),
        ({"dtype": "float32"}, "image does not go with shape [28, 28] of float32"),
        ({**TABLE, "dtype": "uint8"}, "table does not go with shape [2] of uint8"),
        ({"classes": ["a"]}, "classes: "),
        ({"classes": "ab"}, "classes: "),
        ({"classes": ["a", 2]}, "classes.1: "),
        ({"classes": ["a", "a"]}, "classes: names a class twice"),
        ({"classes": [str(number) for number in range(2**16 + 1)]}, "classes: "),
        ({"objective": "regression"}, "objective: must be 'multiclass' or 'binary'"),
        ({"temperature": 0}, "temperature: "),
        ({"temperature": "1"}, "temperature: "),
        ({"temperature": float("nan")}, "temperature: "),
    ],
)
def test_what_is_no_signature_is_told_by_its_key(changes, problem):
    with pytest.raises(Corrupt) as refused:
        parse(**changes)
    assert str(refused.value).startswith("signature.json: ") and problem in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"poem", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_told_so(data):
    with pytest.raises(Corrupt, match=r"^signature\.json: is not a JSON object$"):
        Signature.parse(data)


@pytest.mark.parametrize("name", ["", "a" * 257, "two\nlines", "evil\u202etac", "A\u0308pfel", "cat ", "\x1b[31m"])
def test_a_class_has_a_name_that_can_be_shown_and_kept(name):
    fine = ["a" * 256, "Ångström, T-shirt/top", "دانه\u200cها"]
    assert parse(classes=fine).classes == tuple(fine)
    with pytest.raises(Corrupt, match=r"^signature\.json: classes\.0: .* is not (a valid class name|in its normal)"):
        parse(classes=[name, "dog"])
