"""The writer without Ray around it."""

from unittest import mock

import pytest

from tailorbird.errors import Unavailable
from tuning import spec as specs
from tuning import writer
from tuning.writer import LedgerWriter


@pytest.mark.parametrize("problem", [ValueError("a defect"), Unavailable("the disk is full")])
def test_an_error_of_the_book_ends_the_sweep_for_all_workers_and_is_raised_at_its_end(
    settings, raw_spec, monkeypatch, problem
):
    monkeypatch.setattr(writer, "Book", mock.Mock(return_value=mock.Mock(work=mock.Mock(side_effect=problem))))
    opened = LedgerWriter(settings, mock.Mock(), specs.parse(raw_spec).plain(), mock.Mock(), {})
    with pytest.raises(type(problem)):
        opened.work("0.a")
    assert opened.work("0.b") == "done"
    with pytest.raises(type(problem), match=str(problem)):
        opened.check()
