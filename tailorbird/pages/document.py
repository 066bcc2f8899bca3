"""A document of sections, rendered by `as_html` and `as_markdown`.

Texts are plain: whatever they contain, such as a class name or the reason of a promotion, is escaped. Only `Code` and
blocks have a format of their own.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

BIDIRECTIONAL = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Code:
    """Something to type, or the name of such."""

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
    """Names with their descriptions."""

    rows: Sequence[tuple[str, Inline]]


@dataclass(frozen=True)
class Table:
    """Plain cells; the last `right` columns are numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: int = 0

    def numeric(self, column: int) -> bool:
        return column >= len(self.columns) - self.right


@dataclass(frozen=True)
class Listing:
    """Preformatted text."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG; `file` is its file name beside the Markdown."""

    file: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Mark:
    """An area of a drawing, in per cent of its width and height, with a title that appears under a pointer."""

    left: float
    top: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Drawn:
    """A drawing as SVG, only for pages."""

    caption: str
    svg: str
    marks: Sequence[Mark] = ()


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
    """One line that is safe in a terminal and a browser: without control characters or changes of direction."""
    return "".join(_shown(inline) for inline in text)


def lines(text: str) -> list[str]:
    """The lines of a text, each made safe."""
    return [clean(line).rstrip() for line in text.strip("\n").split("\n")]


def parts(text: Inline) -> Sequence[str | Code]:
    return (text,) if isinstance(text, str) else text


def _shown(inline: str) -> str:
    if inline in "\t\n\r":
        return " "
    hidden = inline in BIDIRECTIONAL or unicodedata.category(inline) in ("Cc", "Cs", "Zl", "Zp")
    return "\N{REPLACEMENT CHARACTER}" if hidden else inline
