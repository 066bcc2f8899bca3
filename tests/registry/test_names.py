from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry import names
from registry.names import Reference
from tailorbird.errors import InvalidInput

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?", fullmatch=True)
ALIASES = NAMES.filter(lambda name: name.lstrip("version").strip("0123456789._-") and name != "latest")


@given(NAMES)
def test_what_the_rule_says_is_accepted(name):
    assert names.check("model", name) == name


@given(st.text(max_size=70) | st.text("abz019._-/\\:@~ \n\0ABé", max_size=70))
@example("..")
@example(".")
@example("")
@example("a\n")
@example("a/../b")
@example("١")  # a digit, but not of ASCII
@example("a" * 65)
def test_an_accepted_name_has_no_meaning_as_a_path_a_reference_or_an_option(name):
    try:
        names.check("model", name)
    except InvalidInput:
        return
    assert PurePosixPath("/folder", name).parts == ("/", "folder", name)
    assert PureWindowsPath("c:/folder", name).parts[1:] == ("folder", name)
    assert name not in (".", "..")
    assert not name.startswith(("-", ".")) and not set(name) & set(":@~ \t\n\0%")
    assert name == name.lower() and name.isascii() and 1 <= len(name) <= 64


def test_the_refusal_says_what_is_accepted_and_cuts_what_was_given():
    with pytest.raises(InvalidInput, match=r"^model: 'Fashion' is not a name; accepted: 1 to 64 of a-z"):
        names.check("model", "Fashion")
    with pytest.raises(InvalidInput) as refused:
        names.check("alias", "x" * 10_000)
    assert refused.value.field == "alias" and len(str(refused.value)) < 250


@pytest.mark.parametrize("alias", ["2", "02", "1.0", "2026-01-01", "v2", "version-2.1", "latest"])
def test_an_alias_is_not_taken_for_a_number_or_the_newest(alias):
    assert names.check("model", alias) == alias
    with pytest.raises(InvalidInput, match=f"^alias: '{alias}' could be mistaken for a version number"):
        names.check_alias("alias", alias)
    with pytest.raises(InvalidInput, match="accepted: a name other than a number, v1 or latest"):
        Reference.parse(f"tiny@{alias}")


@given(ALIASES)
def test_any_other_name_can_be_an_alias(alias):
    assert names.check_alias("alias", alias) == alias


@given(NAMES, st.integers(1, 999_999_999))
def test_a_number_and_back(model, number):
    reference = Reference.parse(f"{model}:{number}")
    assert reference == Reference(model, number)
    assert Reference.parse(str(reference)) == reference


@given(NAMES, ALIASES)
def test_an_alias_and_back(model, alias):
    reference = Reference.parse(f"{model}@{alias}")
    assert reference == Reference(model, None, alias)
    assert Reference.parse(str(reference)) == reference


def test_a_name_alone_is_its_champion():
    assert Reference.parse("fashion") == Reference("fashion", alias="champion")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("fashion:0", "version"),
        ("fashion:01", "version"),
        ("fashion:-1", "version"),
        ("fashion:+1", "version"),
        ("fashion: 1", "version"),
        ("fashion:1\n", "version"),
        ("fashion:", "version"),
        ("fashion:latest", "version"),
        ("fashion:1@champion", "version"),
        ("fashion:1234567890", "version"),
        ("fashion:١", "version"),
        ("fashion@", "alias"),
        ("fashion@Champion", "alias"),
        ("fashion@2", "alias"),
        ("fashion@latest", "alias"),
        ("fashion@a@b", "alias"),
        ("fashion@a:1", "model"),
        ("@champion", "model"),
        (":1", "model"),
        ("", "model"),
        ("../fashion:1", "model"),
    ],
)
def test_what_is_no_reference_is_refused_by_its_wrong_part(text, field):
    with pytest.raises(InvalidInput) as refused:
        Reference.parse(text)
    assert refused.value.field == field
