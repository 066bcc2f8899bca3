import pytest

from tailorbird.errors import Corrupt
from tailorbird.prediction.interface import Interface

IMAGE = {"kind": "image", "shape": [28, 28], "classes": ["cat", "dog"], "columns": None}


def test_a_signature_says_what_a_caller_needs():
    assert Interface.parse("pets", 2, IMAGE) == Interface("pets", 2, "image", (28, 28), ("cat", "dog"), None)
    assert Interface.parse("pets", 2, {**IMAGE, "columns": ["a"]}).columns == ("a",)


@pytest.mark.parametrize("signature", [{}, {**IMAGE, "shape": "wide"}, {**IMAGE, "classes": 3}])
def test_what_is_no_signature_is_corrupt(signature):
    with pytest.raises(Corrupt, match="the signature of pets:2 is not one"):
        Interface.parse("pets", 2, signature)
