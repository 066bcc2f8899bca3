import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.pages import document


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\tc\rd", "a b c d"),
        ("\x1b[31m", "\ufffd[31m"),
        ("\x9b31m\x7f\x00", "\ufffd31m\ufffd\ufffd"),
        ("a\u202eb\u2066", "a\ufffdb\ufffd"),
        ("\ud800", "\ufffd"),
        ("\u2028\u2029", "\ufffd\ufffd"),
        ("é ß 猫 👩\u200d🔬", "é ß 猫 👩\u200d🔬"),
    ],
)
def test_what_would_turn_or_command_a_terminal_is_not_shown(text, expected):
    assert document.clean(text) == expected
    document.clean(text).encode()


@given(st.text())
def test_a_clean_text_is_one_line_without_controls(text):
    cleaned = document.clean(text)
    assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in cleaned)
    assert document.clean(cleaned) == cleaned
