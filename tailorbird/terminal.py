"""The terminal: output that cannot be written does not stop a command.

A closed pipe (`| head -1`), a full disk under the log, a closed terminal or an encoding that lacks a character must not
stop a training, or fail a command that has done its work.
"""

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from tailorbird.errors import Unavailable

LAST_STANDARD = 2
UNBOUNDED = 10_000
"""More characters than any line has."""
READER_GONE = (errno.EPIPE, errno.EIO)
ASCII = {"±": "+/-", "×": "x", "·": "*", "…": "...", "–": "-", "→": "->", "²": "^2", "«": '"', "»": '"', "✗": "x"}


def console(*, stderr: bool = False) -> Console:
    """One that shows what people wrote, as names of runs, as they wrote it: brackets and colons are no markup.

    Into a file or pipe lines go unbroken, unless COLUMNS says how wide it is.
    """
    file = sys.stderr if stderr else sys.stdout
    width = None if file.isatty() or "COLUMNS" in os.environ else UNBOUNDED
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def print_product(text: str) -> None:
    """Print what a caller needs, as a record for machines; raises Unavailable where that cannot be written."""
    print(text, flush=True)
    if loss := _loss(sys.stdout):
        raise Unavailable(f"the command finished, but its output could not be written: {loss.strerror}")


def start_over_in_utf8() -> None:
    """Run this process anew in Python's UTF-8 mode where it reads arguments and names of files as ASCII (PEP 540).

    It does so in the C locale where the environment switches that mode off; what is printed stays ASCII.
    """
    if sys.getfilesystemencoding() != "ascii" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ.setdefault("PYTHONIOENCODING", "ascii:backslashreplace")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


@contextmanager
def tolerant() -> Iterator[None]:
    """Count what standard output and standard error cannot take as written; a warning at the end tells of it."""
    _open_standard_descriptors()
    codecs.register_error("tailorbird", _spelled)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _stream(sys.stdout), _stream(sys.stderr)
    try:
        yield
    finally:
        sys.stdout.flush()
        if loss := _loss(sys.stdout):
            print(f"warning: some output could not be written: {loss.strerror}", file=sys.stderr)
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


class _Sink(io.RawIOBase):
    """A descriptor that takes everything; `loss` is why it did not, unless its reader went away."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.loss: OSError | None = None
        self.reader_gone = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)

    def write(self, data: Any) -> int:
        if self.reader_gone:
            return len(data)
        try:
            return os.write(self.descriptor, data)
        except BlockingIOError:  # another process that shares the pipe made it non-blocking
            select.select([], [self.descriptor], [])
            return 0
        except OSError as error:
            if error.errno in READER_GONE:
                self.reader_gone = True
            else:
                self.loss = error
            return len(data)


class _Stream(io.TextIOWrapper):
    """Text to a sink, in the encoding and with the buffering of another stream."""

    def __init__(self, sink: _Sink, like: io.TextIOWrapper) -> None:
        self.sink = sink
        buffer = io.BufferedWriter(sink)
        super().__init__(buffer, like.encoding, "tailorbird", line_buffering=like.line_buffering)


def _stream(standard: TextIO | None) -> TextIO:
    if standard is None:  # it was closed when this process began
        return Path(os.devnull).open("w")
    if not isinstance(standard, io.TextIOWrapper):
        return standard
    try:
        return _Stream(_Sink(standard.fileno()), standard)
    except io.UnsupportedOperation:  # a caller put something without a descriptor there
        return standard


def _loss(stream: TextIO) -> OSError | None:
    """The error that kept a stream from being written since the last call."""
    if not isinstance(stream, _Stream):
        return None
    loss, stream.sink.loss = stream.sink.loss, None
    return loss


def _open_standard_descriptors() -> None:
    # else the next file that is opened, as a database, would be standard output to a library or a child process
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        pass
    os.close(descriptor)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: characters that an encoding lacks, as ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(
        ASCII.get(character) or character.encode("ascii", "backslashreplace").decode() for character in lacking
    ), error.end
