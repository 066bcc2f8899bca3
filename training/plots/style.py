"""What the pictures share: colours that people of every colour vision tell apart, short names, and the way to bytes."""

import io
import warnings

from matplotlib.figure import Figure

TRAIN, VALIDATION, MARK = "#4c72b0", "#dd8452", "#999999"
RIGHT, WRONG = "#00694e", "#c43c00"
"""Of answers: they also differ in lightness and, wherever they are used, in weight or frame."""
SEVERAL = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b", "#333333")
"""After Okabe & Ito 2008, with its yellow darkened so that it shows on white."""
DASHES = ("-", "--", ":", "-.")
DPI = 110
NAME_LENGTH = 20


def short(name: str, length: int = NAME_LENGTH) -> str:
    """A name on one line, cut to what a picture has room for; a dollar sign in it is no formula."""
    line = "".join(letter if letter.isprintable() else " " for letter in name)
    return (line if len(line) <= length else f"{line[: length - 1]}…").replace("$", r"\$")


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box stands for it
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
