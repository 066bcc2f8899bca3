import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird import classes
from tailorbird.errors import InvalidInput


@pytest.mark.parametrize("name", [
    "Äpfel", "ちゅうごく", "دانه\u200cها", "क्\u200dष", "Grand\u00a0Prix", "\U0001f469\u200d\U0001f680",
    "T-shirt/top", "ກ\u200bຂ", "x" * 256, "1", "no value",
])  # fmt: skip
def test_words_of_every_language_are_names(name):
    assert classes.checked("data", name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(("text", "problem"), [
    ("", "'' is not a valid class name: it is empty"),
    ("  \ufeff\t", "'' is not a valid class name: it is empty"),
    ("x" * 257, f"{'x' * 60!r} is not a valid class name: it has 257 characters; accepted: at most 256"),
    ("a\nb", r"'a\nb' is not a valid class name: it holds a control character ('\n')"),
    ("a\x00b", r"'a\x00b' is not a valid class name: it holds a control character ('\x00')"),
    ("a\u2028b", r"'a\u2028b' is not a valid class name: it holds a line break ('\u2028')"),
    ("caf\udce9", r"'caf\udce9' is not a valid class name: it holds bytes that are not UTF-8 ('\udce9')"),
    ("evil\u202etac", r"'evil\u202etac' is not a valid class name: it holds a bidirectional control ('\u202e')"),
    ("a\u200fb", r"'a\u200fb' is not a valid class name: it holds a bidirectional control ('\u200f')"),
])  # fmt: skip
def test_what_is_no_name_is_refused_with_the_reason(text, problem):
    with pytest.raises(InvalidInput) as refused:
        classes.checked("data.csv", text)
    assert str(refused.value) == f"data.csv: {problem}"


@pytest.mark.parametrize("text", ["A\u0308pfel", "Äpfel ", "\u00a0Äpfel", "\ufeffÄpfel\r\n", "\u200b Äpfel \u2060"])
def test_forms_of_one_name_are_one(text):
    assert classes.normal(text) == "Äpfel"


@given(st.text())
def test_the_normal_form_is_its_own(text):
    name = classes.normal(text)
    assert classes.normal(name) == name
    if classes.problem(name) is None:
        assert classes.checked("x", name) == name and name.encode() and "\n" not in name


def test_numbers_are_sorted_by_size_and_before_text():
    names = ["b", "10", "2", "-1", "0.5", "a", "01", "1e3", "nan"]
    assert sorted(names, key=classes.order) == ["-1", "0.5", "2", "10", "01", "1e3", "a", "b", "nan"]


def test_names_that_a_reader_may_take_for_one_are_found():
    names = ["TRUE", "cat", "True", "new york", "New\u00a0 York", "Ａ", "a", "sea\u200bl", "seal", "dog"]
    assert classes.alike(names) == [
        ("TRUE", "True"), ("new york", "New\u00a0 York"), ("Ａ", "a"), ("sea\u200bl", "seal")
    ]  # fmt: skip
    numbers = ["1", "01", "+1", "1e3", "1000", "1.50", "1.5", str(2**53), str(2**53 + 1)]
    assert classes.alike(numbers) == [("1", "01", "+1"), ("1e3", "1000"), ("1.50", "1.5")]
    assert classes.alike(["cat", "dog", "Äpfel", "Apfel"]) == []


def test_names_that_python_prints_for_an_object_are_found():
    objects = [b"no", ["a", "b"], {"a"}, {"a": 1}, (1, 2), None, np.int64(3), np.str_("cat"), np.arange(2), object()]
    assert classes.printed([repr(thing) for thing in objects]) == [repr(thing) for thing in objects]
    assert classes.printed(["tensor(3)", "Timestamp('2026-01-01 00:00:00')"]) != []
    assert classes.printed(["no", "b", "n/a", "none", "T-shirt/top", "cat (young)", "a<b", "[", "3"]) == []
