import io

import numpy as np
import pytest

from tailorbird.errors import Corrupt
from tailorbird.package import samples
from tailorbird.package.samples import Samples
from tailorbird.package.signature import Signature

SIGNATURE = Signature.of(
    {
        "kind": "image",
        "shape": [4, 3],
        "dtype": "uint8",
        "classes": ["cat", "dog"],
        "objective": "binary",
        "temperature": 1.0,
    }
)
INPUTS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
LABELS = np.array([1, 0], np.int32)


def saved(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_reads_what_it_wrote():
    again = Samples.parse(Samples(INPUTS, LABELS).encode(), SIGNATURE)
    assert len(again) == 2
    assert (again.inputs == INPUTS).all() and (again.labels == LABELS).all()


def test_equal_samples_are_equal_bytes():
    assert Samples(INPUTS, LABELS).encode() == Samples(INPUTS.copy(), LABELS.copy()).encode()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is not an archive"),
        (b"PK\x03\x04", "is not an archive"),
        (saved(inputs=INPUTS), "is not an archive"),
        (saved(inputs=INPUTS, labels=np.array([object(), 1])), "is not an archive"),
        (saved(inputs=np.zeros((1000, 50, 50, 1), np.uint8), labels=LABELS), "too large"),
        (saved(inputs=INPUTS[:, :3], labels=LABELS), "does not hold grey images of 4 × 3 pixels"),
        (saved(inputs=INPUTS.astype(float), labels=LABELS), "does not hold"),
        (saved(inputs=INPUTS, labels=LABELS[:1]), "does not hold"),
        (saved(inputs=INPUTS, labels=np.int32(1)), "does not hold"),
        (saved(inputs=INPUTS, labels=LABELS + 1), "unknown class"),
        (saved(inputs=INPUTS, labels=LABELS - 2), "unknown class"),
    ],
)
def test_anything_else_is_corrupt(data, problem):
    with pytest.raises(Corrupt, match=f"^samples.npz: .*{problem}"):
        Samples.parse(data, SIGNATURE)


def test_a_few_of_each_class_are_chosen_in_turn():
    labels = np.array([2, 0, 0, 1, 0, 0, 2], np.int32)
    assert samples.choose(labels, 1).tolist() == [1, 3, 0, 2, 6, 4]


def test_what_is_chosen_is_bounded():
    labels = np.arange(500, dtype=np.int32)
    assert samples.choose(labels, samples.MOST_BYTES // 7).tolist() == [*range(7)]
    assert len(samples.choose(labels, samples.MOST_BYTES + 1)) == 0
