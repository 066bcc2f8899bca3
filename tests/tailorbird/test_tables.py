import io
import re

import pytest
from rich.console import Console
from rich.table import Table

from tailorbird import tables, terminal

COLUMNS = ["trial", "status", "val_accuracy", "learning rate", "weight decay", "batch size", "dropout"]
ROWS = [[f"{n}", "finished", "0.9321", "0.0123", "4.17e-05", "64", "0.25"] for n in range(3)]


@pytest.fixture
def screen():
    """A console that is a terminal of some width, and what is on it."""

    def make(width):
        return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)

    return make


def words(console):
    return re.findall(r"\S+", console.file.getvalue())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_value_is_cut_and_no_line_is_too_long(screen, width):
    console = screen(width)
    tables.show_rows(console, COLUMNS, ROWS, apart=3, title="trials")
    shown = console.file.getvalue()
    assert max(map(len, shown.splitlines())) <= width and "…" not in shown
    for value in {value for row in ROWS for value in row}:
        assert any(word.strip(",").endswith(value) for word in words(console)), value


def test_columns_stand_apart_where_they_fit_and_are_one_where_they_do_not(screen):
    wide, narrow = screen(120), screen(60)
    for console in (wide, narrow):
        tables.show_rows(console, COLUMNS, ROWS, apart=3)
    assert "with" not in words(wide) and "dropout" in words(wide)
    assert "with" in words(narrow) and " ".join(words(narrow)).count("dropout 0.25") == len(ROWS)


def test_a_long_value_is_folded(screen):
    console, table = screen(40), Table("sum")
    table.add_row("0123456789" * 6)
    tables.show(console, table)
    assert "0123456789" * 6 in "".join(re.findall(r"\d+", console.file.getvalue()))


def test_a_pipe_gets_lines_as_long_as_they_are(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    tables.show_rows(terminal.console(), COLUMNS * 3, [row * 3 for row in ROWS], apart=3)
    lines = capsys.readouterr().out.splitlines()
    assert [len(line.split()) for line in lines if "finished" in line] == [21] * 3
    terminal.console().print("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_columns_says_how_wide_a_pipe_is(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    tables.show_rows(terminal.console(), COLUMNS, ROWS, apart=3)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": "digits", "path": None, "skip": False, "size": [8, 8], "test": 0}, "name digits, size 8, 8, test 0"),
        ({}, "-"),
        (None, "-"),
        (True, "yes"),
        ([{"a": 1}, {"a": 2}], "a 1, a 2"),
        ("plain", "plain"),
    ],
)
def test_records_are_shown_in_words(value, words):
    assert tables.plain(value) == words


def test_a_time_is_shown_to_the_second():
    assert tables.moment("2026-11-30T00:49:11.123456Z") == "2026-11-30 00:49:11"
