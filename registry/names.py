"""Names of models and aliases, and references to versions: `NAME`, `NAME@ALIAS` and `NAME:N`."""

import re
from dataclasses import dataclass

from tailorbird.errors import InvalidInput

CHAMPION = "champion"
WHO, TEXT = 128, 10_000
_NUMBER = re.compile(r"(?:v|version)?[._-]?[0-9][0-9._-]*", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
ACCEPTED = "1 to 64 of a-z, 0-9, '.', '_' and '-', with a letter or digit at both ends"


def check(field: str, name: str) -> str:
    """Return `name` if it is a valid name, else raise InvalidInput."""
    if not _NAME.fullmatch(name):
        shown = name if len(name) <= 64 else name[:61] + "..."
        raise InvalidInput(field, f"{shown!r} is not a name; accepted: {ACCEPTED}")
    return name


def check_alias(field: str, name: str) -> str:
    """Return `name` if it can be an alias: it must not look like a version number, or mean the newest."""
    check(field, name)
    if name == "latest" or _NUMBER.fullmatch(name):
        raise InvalidInput(field, f"{name!r} could be mistaken for a version number; accepted: a name "
                                  f"other than a number, v1 or latest (NAME:N is version N)")  # fmt: skip
    return name


def check_text(field: str, text: str, most: int = TEXT) -> str:
    """Return `text` if a record can store it, else raise InvalidInput."""
    if not text.strip():
        raise InvalidInput(field, "is empty; accepted: any text")
    if len(text) > most:
        raise InvalidInput(field, f"has {len(text):,} characters; accepted: at most {most:,}")
    if "\0" in text:
        raise InvalidInput(field, "holds a NUL character, which databases do not store")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(field, "is not valid Unicode") from None
    return text


@dataclass(frozen=True)
class Reference:
    """A version by number, or by the alias that points to it."""

    model: str
    number: int | None = None
    alias: str = CHAMPION

    @classmethod
    def parse(cls, text: str) -> "Reference":
        if ":" in text:
            model, _, number = text.partition(":")
            if not re.fullmatch(r"[1-9][0-9]{0,8}", number, re.ASCII):
                raise InvalidInput("version", f"{number[:20]!r} is not a version number; accepted: NAME:1, NAME:2, …")
            return cls(check("model", model), number=int(number))
        model, at, alias = text.partition("@")
        return cls(check("model", model), alias=check_alias("alias", alias) if at else CHAMPION)

    def __str__(self) -> str:
        return f"{self.model}:{self.number}" if self.number is not None else f"{self.model}@{self.alias}"
