"""The shared style of plots: colours for all kinds of colour vision, short names, and encoding as PNG."""

import io
import textwrap
import warnings

from matplotlib.figure import Figure

TRAIN, VALIDATION, MARK = "#4c72b0", "#dd8452", "#999999"
RIGHT, WRONG = "#00694e", "#c43c00"
"""Colours of right and wrong answers: they also differ in lightness and, wherever they are used, in weight or frame."""
SEVERAL = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b", "#333333")
"""After Okabe & Ito 2008, with its yellow darkened so that it shows on white."""
DASHES = ("-", "--", ":", "-.")
DPI = 110
NAME_LENGTH = 20
TITLE_SIZE = 12
"""In points."""


def short(name: str, length: int = NAME_LENGTH) -> str:
    """A name on one line, shortened in its middle to fit into a picture."""
    line, left = _line(name), length - 1
    return _plain(line if len(line) <= length else f"{line[: left - left // 3]}…{line[len(line) - left // 3 :]}")


def title(figure: Figure, text: str) -> None:
    """A title above a whole figure, wrapped to its width."""
    letters = int(72 * figure.get_figwidth() / (0.6 * TITLE_SIZE))
    lines = [part for line in text.splitlines() for part in textwrap.wrap(_line(line), letters)]
    figure.suptitle(_plain("\n".join(lines)), fontsize=TITLE_SIZE)


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _plain(text: str) -> str:
    """Escape what is special to matplotlib: dollar signs start formulas, and a leading underscore hides a label."""
    return f"{' ' * text.startswith('_')}{text}".replace("$", r"\$")


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box stands for it
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
