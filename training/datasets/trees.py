"""Trees of files, in a folder or an archive: read one file after the other, and never unpacked to a disk.

What would lead out of an archive is refused: names with `..` or a root, links and devices, and what unpacks to far
more than it is.
"""

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self

from tailorbird.errors import InvalidInput, NotFound, TooLarge

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")
LARGEST_FILE, BLOCK = 2**28, 2**20
BOMB_RATIO, BOMB_BYTES = 100, 2**30
DEEPEST = 16


@dataclass(frozen=True)
class File:
    """One file of a tree: its path within, with `/` between, how many bytes it has, and how they are opened."""

    name: str
    size: int
    open: Callable[[], BinaryIO]

    def read(self) -> bytes:
        """All its bytes; raises TooLarge for a file over the limit."""
        if self.size > LARGEST_FILE:
            raise TooLarge(self.name, f"has {self.size:,} bytes; accepted: at most {LARGEST_FILE:,}")
        with self.open() as opened:
            return opened.read()


@contextmanager
def files(root: Path) -> Iterator[Iterator[File]]:
    """Every file of a folder or archive, each of which must be read before the next; those of a folder by name.

    Hidden files are left out. Raises NotFound where there is no such tree, InvalidInput that names it for one that
    cannot be read or trusted, then or while its files are read.
    """
    with _told(root):
        yield (one for one in _kind(root)(root) if not hidden(one.name))


def _kind(root: Path) -> Callable[[Path], Iterator[File]]:
    name = root.name.lower()
    if root.is_dir():
        return _in_folder
    if not root.exists():
        raise NotFound(str(root), "there is no such folder or archive")
    if not name.endswith(ARCHIVES):
        raise InvalidInput(str(root), f"must be a folder, or an archive whose name ends in {', '.join(ARCHIVES)}")
    return _in_zip if name.endswith(".zip") else _in_tar


def fingerprint(root: Path) -> list[tuple[str, int, int, int]]:
    """What tells that a tree has changed: name, size and times of the archive, or of each file of a folder."""
    if not root.is_dir():
        _kind(root)
    with _told(root):
        paths = _walk(root, root, DEEPEST) if root.is_dir() else [root]
        states = [(str(path.relative_to(root)), _state(path)) for path in paths]
    return [(name, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for name, state in states]


def _in_folder(root: Path) -> Iterator[File]:
    for path in _walk(root, root, DEEPEST):
        yield File(path.relative_to(root).as_posix(), _state(path).st_size, partial(path.open, "rb"))  # type: ignore[arg-type]


def _state(path: Path) -> os.stat_result:
    """That of a file, or of the link where it leads nowhere."""
    return path.stat() if path.exists() else path.lstat()


def _walk(root: Path, folder: Path, depth: int) -> Iterator[Path]:
    if not depth:
        raise InvalidInput(str(folder), f"lies more than {DEEPEST} folders below {root}; does a link lead upwards?")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(root, Path(entry.path), depth - 1)
        elif entry.is_file() or not Path(entry.path).exists():  # a link that leads nowhere cannot be read
            yield Path(entry.path)


def _in_zip(root: Path) -> Iterator[File]:
    with zipfile.ZipFile(root) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _check_total(root, sum(member.file_size for member in members))
        for member in members:
            name = _checked(root, member.filename, plain=not stat.S_ISLNK(member.external_attr >> 16))
            yield File(name, member.file_size, partial(archive.open, member))  # type: ignore[arg-type]


def _in_tar(root: Path) -> Iterator[File]:
    with tarfile.open(root, tarinfo=_Member) as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            _check_total(root, archive.offset)
            if not member.isdir():
                name = _checked(root, member.name, plain=member.isreg())
                yield File(name, member.size, partial(archive.extractfile, member))  # type: ignore[arg-type]
        while archive.fileobj and archive.fileobj.read(BLOCK):  # only at its end does a packer's sum tell damage
            pass


class _Member(tarfile.TarInfo):
    """A header that knows when there is none: tarfile itself takes an archive that was cut for one that has ended."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if len(buf) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it is cut: a whole tar archive ends in zeros")
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]  # tarfile takes it for the end too
            raise tarfile.ReadError(f"it is damaged: {error}") from None


def _check_total(root: Path, unpacked: int) -> None:
    packed = root.stat().st_size
    if unpacked > max(BOMB_BYTES, BOMB_RATIO * packed):
        raise TooLarge(str(root), f"unpacks to more than {BOMB_RATIO} times its {packed:,} bytes; unpack it yourself")


def _checked(root: Path, name: str, *, plain: bool) -> str:
    """The name of an archive's member, if it stays within."""
    if not plain:
        raise InvalidInput(str(root), f"holds {name!r}, which is a link or device; accepted: files and folders")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise InvalidInput(str(root), f"holds {name!r}, which leads out of it; accepted: names below it")
    return str(path)


def hidden(name: str) -> bool:
    """Whether a name within a tree is one that is left out."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """Turn what is wrong with a folder or archive into InvalidInput that names it."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(str(error.filename or root), f"cannot be read: {error.strerror or error}") from None
    except _BROKEN as error:
        raise InvalidInput(str(root), f"cannot be unpacked ({error})") from None


# ValueError and RuntimeError: of zipfile, for damaged names, and for a password that is needed
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    ValueError,
    RuntimeError,
)
