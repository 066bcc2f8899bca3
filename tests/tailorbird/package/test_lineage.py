import pytest

from tailorbird.errors import Corrupt
from tailorbird.package.lineage import Data, Lineage

LINEAGE = {
    "sweep": "pets-1", "trial": 3, "epoch": 2, "data": {"name": "pets", "sha256": "ab" * 32, "split_seed": 0},
    "objective": {"metric": "val_loss", "mode": "min"}, "champion": None, "code": "0.1.0",
}  # fmt: skip


@pytest.mark.parametrize("notes", [LINEAGE, {}, {"sweep": "pets-1"}, {"note": {"room": ["a", 1, None]}}])
def test_what_was_noted_is_told_and_nothing_else(notes):
    lineage = Lineage.of(notes)
    assert lineage.record() == notes
    assert Lineage.of(lineage.record()) == lineage


def test_how_the_data_were_split():
    assert Lineage.of(LINEAGE).data.split == {"split_seed": 0}


def test_notes_are_as_json_gives_them_back():
    assert Lineage(shape=(28, 28), loss=float("nan")).storable().record() == {"shape": [28, 28], "loss": None}


def test_it_is_made_of_records_too():
    data = Data(sha256="ab" * 32, split_seed=0)
    assert Lineage(data=data).data == data and Lineage(data=data).record() == {"data": data.record()}


def test_origins_are_told_down_to_the_first():
    first = {"model": "pets", "manifest": "ab" * 32, "created": "2026", "number": 3, "origin": None}
    second = {**first, "number": None, "origin": first}
    assert Lineage.of({"origin": second}).record() == {"origin": second}
    assert Lineage.of({"origin": second}).origin.origin.number == 3


@pytest.mark.parametrize(
    ("notes", "key"),
    [
        ({"epoch": "2"}, "epoch"), ({"epoch": -1}, "epoch"), ({"trial": True}, "trial"), ({"sweep": 3}, "sweep"),
        ({"data": "pets"}, "data"), ({"data": {"sha256": 3}}, "data.sha256"), ({"origin": {}}, "origin.model"),
    ],
)  # fmt: skip
def test_what_is_no_lineage_is_told_by_its_key(notes, key):
    with pytest.raises(Corrupt, match=rf"^pets:1: lineage: {key}: "):
        Lineage.of(notes, "pets:1: lineage")
