import json

import pytest

from tailorbird.errors import Corrupt
from tailorbird.package import curves
from tailorbird.package.curves import Epoch

EPOCHS = [Epoch(epoch=1, train_loss=2.0, lr=0.1), Epoch(epoch=2, train_loss=1.0, val_accuracy=0.5, lr=0.1)]


def test_what_is_written_is_read():
    data = curves.write(EPOCHS)
    assert curves.parse(data) == EPOCHS
    assert json.loads(data)[0] == {"epoch": 1, "train_loss": 2.0, "lr": 0.1}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"3", b"[]", b'["x"]', b'{"epoch": 1}', b'[{"epoch": 0}]', b'[{"epoch": "1"}]', b'[{"train_loss": 1}]',
     b'[{"epoch": 2}, {"epoch": 1}]', b'[{"epoch": 1}, {"epoch": 1}]', b'[{"epoch": 1, "lr": "x"}]', b"[" * 100_000],
)  # fmt: skip
def test_what_are_no_curves_is_told(data):
    with pytest.raises(Corrupt, match=r"^curves\.json: must hold the figures of one epoch or more, in their order$"):
        curves.parse(data)
