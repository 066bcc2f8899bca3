"""Documents as Markdown: GitHub's, with tables."""

import re
from collections.abc import Iterator, Sequence

from tailorbird.pages.document import (
    Block,
    Bullets,
    Code,
    Document,
    Inline,
    Listing,
    Paragraph,
    Picture,
    Table,
    Terms,
    clean,
    lines,
    parts,
)

PADDED = 40
"""Columns of a table that are wider than this are not padded."""


def as_markdown(document: Document, *, pictures: bool = True) -> str:
    """GitHub-flavoured Markdown; without `pictures` it needs no other files."""
    lines = [f"# {_text(document.title)}", *_markdown(document.lead, pictures=pictures)]
    for section in document.sections:
        lines += [f"## {_text(section.title)}", *_markdown(section.blocks, pictures=pictures)]
    return "\n\n".join(lines) + "\n"


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
    # an underscore within or before a word ends no emphasis; unescaped, names are easier to read
    return re.sub(r"([\\`*\[\]<>|~$]|&(?=\S)|_(?![^\W_]))", r"\\\1", clean(text))


def _inline(text: Inline) -> str:
    return "".join(_code(part) if isinstance(part, Code) else _escaped(part) for part in parts(text)).strip()


def _line(text: Inline) -> str:
    """Escape the start of a line, where a list, a heading or a rule could begin."""
    return re.sub(r"^(\d+(?=[.)])|(?=[-+#]))", r"\1\\", _inline(text))


def _code(code: Code) -> str:
    text = clean(code.text)
    fence = "`" * (_longest("`", text) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _longest(character: str, text: str) -> int:
    return max((len(run) for run in re.findall(f"{character}+", text)), default=0)


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
    kept = lines(text)
    fence = "`" * max(3, _longest("`", text) + 1)
    return "\n".join([fence + language, *kept, fence])
