"""A small document of sections, and its two forms: Markdown (GitHub's, with tables) and one HTML page.

Texts are plain: whatever stands in them, a class name or the reason of a promotion, is shown as it is and means
nothing to either form. Only what is `Code` or a block of its own is set apart.
"""

import base64
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

BIDIRECTIONAL = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
PADDED = 40
STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #59636e; --line: #d1d9e0; --back: #fff; --shade: #f6f8fa }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --faint: #9da7b1; --line: #3d444d; --back: #0d1117; --shade: #161b22 }
}
body { margin: 0; background: var(--back); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; overflow-wrap: anywhere }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 1rem }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line) }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .3rem 1.5rem; margin: 0 }
dt { color: var(--faint) }
dd { margin: 0 }
ul { padding-left: 1.25rem }
li { margin: .4rem 0 }
.wide { overflow-x: auto; width: fit-content; min-width: 100%; max-width: calc(100vw - 4rem); margin: 1rem 0;
  position: relative; left: 50%; transform: translateX(-50%) }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
th { color: var(--faint); font-weight: 600 }
td { min-width: 3rem; max-width: 24rem; overflow-wrap: break-word }
td:first-child:not(.n) { min-width: 11rem }
.n { text-align: right }
td.n { white-space: nowrap }
code, pre { font: .85em/1.5 ui-monospace, monospace; background: var(--shade); border-radius: 6px }
code { padding: .15em .35em }
pre { padding: .9rem 1rem; border: 1px solid var(--line); overflow-x: auto }
figure { margin: 1.5rem 0 }
figure img { box-sizing: border-box; max-width: 100%; padding: .75rem; background: #fff; border-radius: 6px }
figcaption { color: var(--faint); font-size: .9rem; margin-top: .4rem }
@media screen and (max-width: 40rem) {
  dl { display: block }
  dd { margin-bottom: .5rem }
  table { width: max-content }
  td { max-width: 16rem }
}
@media print {
  :root { --ink: #000; --faint: #444; --line: #bbb; --back: #fff; --shade: #fff }
  main { max-width: none; padding: 0 }
  body { font-size: 11pt }
  h2 { break-after: avoid }
  tr, figure, li, dd { break-inside: avoid }
  pre { white-space: pre-wrap }
  .wide { overflow: visible; position: static; transform: none; max-width: none }
}
"""


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


Block = Paragraph | Bullets | Terms | Table | Listing | Picture


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
    return "".join(_shown(one) for one in text)


def markdown(document: Document, *, pictures: bool = True) -> str:
    """GitHub-flavoured Markdown; without `pictures` nothing has to lie beside it."""
    parts = [f"# {_text(document.title)}", *_markdown(document.lead, pictures=pictures)]
    for section in document.sections:
        parts += [f"## {_text(section.title)}", *_markdown(section.blocks, pictures=pictures)]
    return "\n\n".join(parts) + "\n"


def html(document: Document) -> str:
    """One self-contained page without scripts, for light and dark screens and for paper."""
    body = "".join(_html(block) for block in document.lead)
    for section in document.sections:
        blocks = "".join(_html(block) for block in section.blocks)
        body += f"<section>\n<h2>{_plain(section.title)}</h2>\n{blocks}</section>\n"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{_plain(document.title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{_plain(document.title)}</h1>\n{body}</main>\n</body>\n</html>\n"
    )


def _shown(one: str) -> str:
    if one in "\t\n\r":
        return " "
    hidden = one in BIDIRECTIONAL or unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")
    return "\N{REPLACEMENT CHARACTER}" if hidden else one


def _lines(text: str) -> list[str]:
    return [clean(line).rstrip() for line in text.strip("\n").split("\n")]


def _parts(text: Inline) -> Sequence[str | Code]:
    return (text,) if isinstance(text, str) else text


# --- Markdown


def _markdown(blocks: Sequence[Block], *, pictures: bool) -> Iterator[str]:
    for block in blocks:
        match block:
            case Paragraph(text):
                yield _line(text)
            case Bullets(items):
                yield "\n".join(f"- {_line(item)}" for item in items)
            case Terms(rows):
                yield "\n".join(f"- **{_text(name)}**: {_inline(value)}" for name, value in rows)
            case Table():
                yield _table(block)
            case Listing(text, language):
                yield _listing(text, language)
            case Picture(file, caption, _) if pictures:
                yield f"![{_text(caption)}]({file})"


def _text(text: str) -> str:
    return _escaped(text).strip()


def _escaped(text: str) -> str:
    # an underscore within a word or before one ends no emphasis, and names are easier to read with it
    return re.sub(r"([\\`*\[\]<>|~$]|&(?=\S)|_(?![^\W_]))", r"\\\1", clean(text))


def _inline(text: Inline) -> str:
    return "".join(_code(one) if isinstance(one, Code) else _escaped(one) for one in _parts(text)).strip()


def _line(text: Inline) -> str:
    """What stands at the start of a line, where a list, a heading or a rule could begin."""
    return re.sub(r"^(\d+(?=[.)])|(?=[-+#]))", r"\1\\", _inline(text))


def _code(code: Code) -> str:
    text = clean(code.text)
    fence = "`" * (_longest("`", text) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _longest(one: str, text: str) -> int:
    return max((len(run) for run in re.findall(f"{one}+", text)), default=0)


def _table(table: Table) -> str:
    rows = [[_text(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(table.columns))]
    widths = [width if width <= PADDED else 0 for width in widths]
    ends = [":" if table.numeric(column) else "-" for column in range(len(widths))]
    rule = "|".join(f"{'-' * (max(width, 3) + 1)}{end}" for width, end in zip(widths, ends, strict=True))
    head, *body = (_row(table, row, widths) for row in rows)
    return "\n".join([head, f"|{rule}|", *body])


def _row(table: Table, cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if table.numeric(column) else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"


def _listing(text: str, language: str) -> str:
    lines = _lines(text)
    fence = "`" * max(3, _longest("`", text) + 1)
    return "\n".join([fence + language, *lines, fence])


# --- HTML


def _html(block: Block) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{_marked(text)}</p>\n"
        case Bullets(items):
            return "<ul>\n" + "".join(f"<li>{_marked(item)}</li>\n" for item in items) + "</ul>\n"
        case Terms(rows):
            pairs = "".join(f"<dt>{_plain(name)}</dt><dd>{_marked(value)}</dd>\n" for name, value in rows)
            return f"<dl>\n{pairs}</dl>\n"
        case Table():
            return _html_table(block)
        case Listing(text, _):
            return f"<pre>{escape(chr(10).join(_lines(text)))}</pre>\n"
        case Picture(_, caption, png):
            source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
            shown = _plain(caption)
            return f'<figure><img src="{source}" alt="{shown}"><figcaption>{shown}</figcaption></figure>\n'


def _html_table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="n"' if table.numeric(column) else "" for column in range(len(cells))]
        return "".join(f"<{tag}{kind}>{_plain(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True))

    body = "".join(f"<tr>{row(cells, 'td')}</tr>\n" for cells in table.rows)
    head = row(table.columns, 'th scope="col"').replace('</th scope="col">', "</th>")
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'


def _marked(text: Inline) -> str:
    return "".join(
        f"<code>{_plain(part.text)}</code>" if isinstance(part, Code) else _plain(part) for part in _parts(text)
    )


def _plain(text: str) -> str:
    return escape(clean(text))
