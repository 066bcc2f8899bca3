from decimal import Decimal

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from training import datasets
from training.config import DataConfig
from training.datasets import merging
from training.datasets.labels import Cell

NANOSECONDS = [1_750_000_000_000_000_000 + step for step in (0, 1, 2, 1000)]
CLOSE = [Decimal(f"12345678.90123456789{step}") for step in range(4)]


def notes(tmp_path, values, label=None):
    """Of a table with these values in a column, as CSV and as Parquet."""
    table = {"value": values, "y": label or list("abab")}
    parquet.write_table(pyarrow.table(table), tmp_path / "t.parquet")
    rows = zip(*table.values(), strict=True)
    (tmp_path / "t.csv").write_text("value,y\n" + "".join(f"{value},{y}\n" for value, y in rows))
    configs = [DataConfig(name="table", path=str(tmp_path / name), label="y") for name in ("t.csv", "t.parquet")]
    return [datasets.load(config, tmp_path, tmp_path).notes for config in configs]


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([2**53 + 1, 2**53, 12, -(2**60)], 1),
        (NANOSECONDS, 2),
        (CLOSE, 3),
        ([Decimal("0.1000000000000000001"), Decimal("0.1000000000000000002"), Decimal(1), Decimal(2)], 1),
    ],
)
def test_numbers_that_become_one_are_counted_by_column(tmp_path, values, count):
    text = f"column 'value': {count} different numbers become equal in float64; subtract"
    for note, *_ in notes(tmp_path, values):
        assert note.startswith(text)


@pytest.mark.parametrize(
    "values",
    [
        [0.1 + 0.2, 0.3, 1.2345678901234567e30, 5e-324],
        [-(2**60) - 1, 2**53, 2**53 + 2, 7],
        [Decimal("1.00000000000000000000"), Decimal("2.50000000000000000000"), Decimal(3), Decimal(4)],
    ],
)
def test_numbers_that_stay_different_are_not(tmp_path, values):
    assert notes(tmp_path, values) == [(), ()]


def test_numbers_to_predict_count_too(tmp_path):
    for note, *_ in notes(tmp_path, [1, 2, 3, 4, 5], [*CLOSE, 1]):
        assert note.startswith("column 'y': 3 different numbers")


@given(st.lists(st.decimals(0, 1, places=18), min_size=1), st.integers(0, 20))
def test_they_are_those_that_float64_makes_fewer(values, remembered):
    """Also where no more than some are remembered, none is counted that stays different."""
    for most in (merging.REMEMBERED, remembered):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(merging, "REMEMBERED", most)
            counted = merging.Merging()
            for value in values:
                counted.add(Cell("row 1", "x", value), float(value))
        different = set(values)
        merged = len(different) - len({float(value) for value in different})
        assert bool(list(counted.notes())) == bool(merged) or (most == remembered and not list(counted.notes()))
