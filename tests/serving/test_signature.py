import json

import pytest

from serving.signature import parse
from tailorbird.errors import Corrupt, InvalidInput

GOOD = {"kind": "image", "shape": [28, 28], "dtype": "uint8", "classes": ["a", "b"]}


def changed(**keys) -> bytes:
    return json.dumps(GOOD | keys).encode()


def test_parse():
    found = parse(changed())
    assert (found.shape, found.classes, found.record) == ((28, 28), ("a", "b"), GOOD)


def test_a_table_is_not_served():
    with pytest.raises(InvalidInput, match="takes table of float32; accepted: a model that takes image of uint8"):
        parse(changed(kind="table", dtype="float32", shape=None))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        changed(shape=[28]),
        changed(shape="x"),
        changed(classes=["a"]),
        changed(classes=["a"] * 65_537),
    ],
)
def test_what_is_no_signature(data):
    with pytest.raises(Corrupt, match=r"signature\.json"):
        parse(data)
