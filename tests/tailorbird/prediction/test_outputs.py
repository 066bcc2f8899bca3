import csv
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from tailorbird.errors import InvalidInput, Unavailable
from tailorbird.package.signature import Signature
from tailorbird.prediction import outputs
from tailorbird.prediction.outputs import Answers
from tests.packages import IMAGES

PROC = Path("/proc/p.csv")
PETS = Signature.of(IMAGES | {"classes": ("cat", 'an "owl", grey')})
ANSWERS = Answers(
    ["a.png", "b\udcff.png"], ["", ""], ["cat", 'an "owl", grey'], np.array([[0.75, 0.25], [0.5, 0.5]], np.float32)
)


def test_a_csv_file_has_a_row_for_each_answer(tmp_path):
    with outputs.file(tmp_path / "new" / "p.csv", PETS) as output:
        output.write(ANSWERS)
        output.write(ANSWERS)
        assert not (tmp_path / "new" / "p.csv").exists()
    with (tmp_path / "new" / "p.csv").open(newline="", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and [path.name for path in (tmp_path / "new").iterdir()] == ["p.csv"]
    assert rows[1] == {
        "file": "b\udcff.png",
        "row": "",
        "label": 'an "owl", grey',
        "confidence": "0.500000",
        "probability_cat": "0.500000",
        'probability_an "owl", grey': "0.500000",
    }


def test_a_parquet_file_has_the_same(tmp_path):
    with outputs.file(tmp_path / "p.parquet", PETS) as output:
        output.write(ANSWERS)
        output.write(ANSWERS)
    table = parquet.read_table(tmp_path / "p.parquet").to_pylist()
    assert len(table) == 4 and table[0]["file"] == "a.png" and table[0]["probability_cat"] == 0.75
    assert table[1]["file"] == "b\\udcff.png" and table[1]["label"] == 'an "owl", grey'


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_what_breaks_off_leaves_nothing_and_spares_what_was_there(tmp_path, name):
    (tmp_path / name).write_text("of before")
    with pytest.raises(KeyboardInterrupt), outputs.file(tmp_path / name, PETS) as output:
        output.write(ANSWERS)
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "of before"


def test_runs_that_write_the_same_file_at_once_each_write_it_whole(tmp_path):
    path = tmp_path / "p.csv"
    with outputs.file(path, PETS) as first:
        with outputs.file(path, PETS) as second:
            first.write(ANSWERS)
            second.write(ANSWERS)
        assert len(path.read_bytes().splitlines()) == 3
        first.write(ANSWERS)
    assert len(path.read_bytes().splitlines()) == 5 and [*tmp_path.iterdir()] == [path]


def test_a_place_that_cannot_be_written_is_told():
    with pytest.raises(Unavailable, match=r"/proc/p\.csv cannot be written: "), outputs.file(PROC, PETS):
        pass


def test_a_name_that_says_no_form_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"--out: must end in .csv or .parquet, not 'p.xlsx'"):
        outputs.check(tmp_path / "p.xlsx")
