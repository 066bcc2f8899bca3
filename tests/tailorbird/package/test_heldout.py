import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.errors import Corrupt
from tailorbird.package.heldout import Heldout
from tests.packages import records, saved


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("a package ran code",))


def reshaped(data, old, new):
    assert data.count(old) == 1 and len(old) == len(new)
    return data.replace(old, new)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is not an array without objects"),
        (b"\x93NUMPY", "is not an array without objects"),
        (pickle.dumps([1]), "is not an array without objects"),
        (saved(np.array([Evil(), 1], object)), "is not an array without objects"),
        (saved(records())[:-1], "is not an array without objects"),
        (reshaped(saved(records()), b"(40,)", b"(1E9)"), "is not an array without objects"),
        (reshaped(saved(records()), b"(40,), }    ", b"(9999999,), "), "is not an array without objects"),
        (saved(np.zeros(3)), "must have records"),
        (saved(records().reshape(2, 20)), "must have records"),
        (
            saved(np.zeros(3, [("label", "<i4"), ("id", "u1", (16,)), ("probabilities", "<f4", (2,))])),
            "must have records",
        ),
        (saved(records(classes=3)), "must have records"),
        (saved(records().astype([("id", "u1", (16,)), ("label", "<i8"), ("probabilities", "<f4", (2,))])), "records"),
        (saved(records().astype([("id", "u1", (16,)), ("label", "<i4"), ("probabilities", "<f8", (2,))])), "records"),
        (saved(np.zeros(3, [("id", "u1", (20,)), ("probabilities", "<f4", (2,))])), "must have records"),
        (saved(np.zeros(3, [("id", "u1", (16,)), ("probabilities", "<f4", (2,))])), "must have records"),
        (saved(records(images=0)), "holds no image"),
    ],
)
def test_bytes_that_are_no_records_are_corrupt(data, problem):
    with pytest.raises(Corrupt, match=f"^heldout.npy: .*{problem}"):
        Heldout.parse(data, 2)


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_is_one_of_the_classes(label):
    wrong = records()
    wrong["label"][7] = label
    with pytest.raises(Corrupt, match=rf"holds labels from {min(label, 0)} to {max(label, 0)}, not from 0 to 1"):
        Heldout.parse(saved(wrong), 2)


@given(st.data())
def test_whatever_bytes_are_changed_it_is_records_or_corrupt(data):
    whole = bytearray(saved(records(images=3)))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    try:
        result = Heldout.parse(bytes(whole), 2)
    except Corrupt:
        return
    assert result.probabilities.shape == (len(result), 2) and result.ids.shape == (len(result), 16)
    assert set(result.labels.tolist()) <= {0, 1}
