"""Class names: normal form, order and validity, shared by readers, specs, the registry and feedback.

Letters of all languages are valid, with the joiners and no-break spaces that some words require.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from tailorbird.errors import InvalidInput

LONGEST = 256
"""The most characters of a name, for which feedback has a column."""
BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Unicode's Bidi_Control: they reverse the text around a name, and names that differ only in them look the same."""
INVISIBLE = "\ufeff\u200b\u2060"
"""Byte-order and line-break marks, which are stripped from the ends of a name."""
_REFUSED = {"Cc": "a control character", "Cs": "bytes that are not UTF-8", "Zl": "a line break", "Zp": "a line break"}
_NUMBER = re.compile(r"-?(?:\d+\.\d+|0|[1-9]\d*)", re.ASCII)
_WRITTEN = re.compile(r"[+-]?\d+(?:\.\d*)?(?:e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)

_PRINTED = re.compile(
    r"""b(['"]).*\1|None|\[.*\]|\(.*,.*\)|\{.*\}|(?:np\.\w+|array|tensor|Timestamp)\(.*\)|<.* at 0x[0-9a-f]+>"""
)


def normal(text: str) -> str:
    """The normal form of a name: composed (NFC), without surrounding white space."""
    before = None
    while text != before:
        before, text = text, text.strip().strip(INVISIBLE)
    return unicodedata.normalize("NFC", text)


def problem(name: str) -> str | None:
    """Why a name in its normal form is invalid, as a phrase that follows it; None if it is valid."""
    if not name:
        return "is empty"
    if len(name) > LONGEST:
        return f"has {len(name):,} characters; accepted: at most {LONGEST}"
    for character in name:
        refused = _REFUSED.get(unicodedata.category(character))
        if refused or character in BIDIRECTIONAL:
            return f"holds {refused or 'a bidirectional control'} ({character!a})"
    return None


def checked(field: str, text: str) -> str:
    """The normal form of a name; raises InvalidInput for an invalid class name."""
    name = normal(text)
    if reason := problem(name):
        raise InvalidInput(field, f"{name[:60]!r} is not a valid class name: it {reason}")
    return name


def order(name: str) -> tuple[bool, float, str]:
    """The sort key of classes: numbers by value, then text."""
    number = float(name) if _NUMBER.fullmatch(name) else None
    return number is None, number or 0, name


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Different names that look alike: they differ in case, width, spaces, invisible marks or number notation."""
    groups = defaultdict(list)
    for name in names:
        groups[_seen(name)].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def printed(names: Iterable[str]) -> list[str]:
    """Names that look like Python's repr of an object, or of None."""
    return [name for name in names if _PRINTED.fullmatch(name)]


def _seen(name: str) -> str:
    """A key that is equal for names that look alike: mostly NFKC_Casefold; for numbers the value."""
    if _WRITTEN.fullmatch(name):
        return str(Decimal(name).normalize())
    text = unicodedata.normalize("NFKC", name).casefold()
    visible = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", " ".join(visible.split()))
