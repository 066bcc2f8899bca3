import pytest

from tailorbird.errors import Corrupt
from tailorbird.package import environment


def test_lines_come_back_as_they_were_written():
    lines = ("python==3.11.7", "machine: Linux é")
    assert environment.parse(environment.encode(lines)) == lines


def test_what_is_not_utf_8_is_corrupt():
    with pytest.raises(Corrupt, match=r"^environment\.txt: is not UTF-8$"):
        environment.parse(b"\xff")
