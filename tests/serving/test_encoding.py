import json
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serving.encoding import Encoding
from serving.examples import FEW

NAMES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=2, max_size=5, unique=True)


@given(NAMES, st.data())
def test_is_the_json_of_the_answer(names, data):
    """Whatever the classes are called: quotes, percent signs and braces too."""
    floats = st.floats(0, 1, width=32)
    rows = data.draw(
        arrays.arrays(np.float32, st.tuples(st.integers(1, FEW + 3), st.just(len(names))), elements=floats)
    )
    receipts = [f"receipt {position}" for position in range(len(rows))]
    encoding = Encoding(SimpleNamespace(model="demo", number=7), names)
    assert json.loads(encoding.encode(rows.argmax(axis=1).tolist(), rows, receipts)) == {
        "model": "demo",
        "version": 7,
        "predictions": [
            {
                "label": names[row.argmax()],
                "index": int(row.argmax()),
                "confidence": float(str(row.max())),
                "probabilities": dict(zip(names, (float(str(number)) for number in row), strict=True)),
                "receipt": receipt,
            }
            for row, receipt in zip(rows, receipts, strict=True)
        ],
    }
