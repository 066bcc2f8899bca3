"""A document of sections, which `as_html` and `as_markdown` beside it write out.

Texts are plain: whatever stands in them, a class name or the reason of a promotion, is shown as it is and means
nothing to either form. Only what is `Code` or a block of its own is set apart.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

BIDIRECTIONAL = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Code:
    """Something to type, or a name of it."""

    text: str


Inline = str | Sequence[str | Code]


@dataclass(frozen=True)
class Paragraph:
    text: Inline


@dataclass(frozen=True)
class Bullets:
    items: Sequence[Inline]


@dataclass(frozen=True)
class Terms:
    """Names with what is to be said of each."""

    rows: Sequence[tuple[str, Inline]]


@dataclass(frozen=True)
class Table:
    """Plain cells; the `right` last columns hold numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: int = 0

    def numeric(self, column: int) -> bool:
        return column >= len(self.columns) - self.right


@dataclass(frozen=True)
class Listing:
    """Text in a fixed width, its lines kept."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG; `file` is its name beside a Markdown text."""

    file: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Drawn:
    """A drawing as SVG, for pages alone."""

    caption: str
    svg: str


Block = Paragraph | Bullets | Terms | Table | Listing | Picture | Drawn


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    title: str
    lead: Sequence[Block]
    sections: Sequence[Section]

    def pictures(self) -> dict[str, bytes]:
        """The files that the Markdown form refers to."""
        blocks = (block for section in self.sections for block in section.blocks)
        return {block.file: block.png for block in blocks if isinstance(block, Picture)}


def clean(text: str) -> str:
    """One line that a terminal and a browser show as it is: no control characters, no turning of the direction."""
    return "".join(_shown(inline) for inline in text)


def lines(text: str) -> list[str]:
    """The lines of a text, each of them clean."""
    return [clean(line).rstrip() for line in text.strip("\n").split("\n")]


def parts(text: Inline) -> Sequence[str | Code]:
    return (text,) if isinstance(text, str) else text


def _shown(inline: str) -> str:
    if inline in "\t\n\r":
        return " "
    hidden = inline in BIDIRECTIONAL or unicodedata.category(inline) in ("Cc", "Cs", "Zl", "Zp")
    return "\N{REPLACEMENT CHARACTER}" if hidden else inline
