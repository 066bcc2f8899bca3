"""The terminal: output that cannot be written does not stop a command.

A closed pipe (`| head -1`), a log on a full disk, a closed terminal or a character that the encoding lacks must not
stop a training, or fail a command that has done its work.
"""

import codecs
import errno
import gc
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from tailorbird.errors import Unavailable, reported

LAST_STANDARD = 2
UNBOUNDED = 10_000
"""More characters than any line has."""
READER_GONE = (errno.EPIPE, errno.EIO)
ASCII = {"±": "+/-", "×": "x", "·": "*", "…": "...", "–": "-", "→": "->", "²": "^2", "«": '"', "»": '"', "✗": "x"}


def console(*, stderr: bool = False) -> Console:
    """A console without markup, so that brackets and colons in names are printed literally.

    In files and pipes lines are not wrapped, unless COLUMNS sets a width.
    """
    file = sys.stderr if stderr else sys.stdout
    width = None if file.isatty() or "COLUMNS" in os.environ else UNBOUNDED
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def print_product(text: str) -> None:
    """Print output that callers need, such as JSON; raises Unavailable if it cannot be written."""
    print(text, flush=True)
    if loss := _loss(sys.stdout):
        raise Unavailable(f"the command finished, but its output could not be written: {loss.strerror}")


def run(command: Callable[[], object]) -> None:
    """Run the command of this process, in UTF-8, with tolerant output and reported errors."""
    _start_over_in_utf8()
    try:
        with _tolerant(), reported():
            command()
    finally:
        gc.freeze()  # else Python scans all modules at its exit, which takes a second with those of PyTorch and Ray


def _start_over_in_utf8() -> None:
    """Restart this process in Python's UTF-8 mode if it would decode arguments and file names as ASCII (PEP 540).

    That happens in the C locale if the environment turns the mode off; output stays ASCII.
    """
    if sys.getfilesystemencoding() != "ascii" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ.setdefault("PYTHONIOENCODING", "ascii:backslashreplace")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


@contextmanager
def _tolerant() -> Iterator[None]:
    """Ignore errors of writing to standard output and standard error, except for a warning at the end."""
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
    """A descriptor that never fails; `loss` is the error of a write, unless its reader closed the pipe."""

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
    if standard is None:  # it was closed when this process started
        return Path(os.devnull).open("w")
    if not isinstance(standard, io.TextIOWrapper):
        return standard
    try:
        return _Stream(_Sink(standard.fileno()), standard)
    except io.UnsupportedOperation:  # it was replaced by an object without a descriptor
        return standard


def _loss(stream: TextIO) -> OSError | None:
    """The error that kept a stream from being written since the last call."""
    if not isinstance(stream, _Stream):
        return None
    loss, stream.sink.loss = stream.sink.loss, None
    return loss


def _open_standard_descriptors() -> None:
    # else the next opened file, perhaps a database, would become standard output for libraries and child processes
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        pass
    os.close(descriptor)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs that replaces characters by ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(
        ASCII.get(character) or character.encode("ascii", "backslashreplace").decode() for character in lacking
    ), error.end
