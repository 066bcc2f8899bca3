"""Trees of files in a folder or an archive, read one file after the other and never unpacked to disk.

Unsafe archives are refused: names with `..` or a root, links and devices, and decompression bombs.
"""

import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self

from tailorbird.errors import InvalidInput, NotFound, TooLarge

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")
LARGEST_FILE, BLOCK = 2**28, 2**20
BOMB_RATIO, BOMB_BYTES = 100, 2**30
DEEPEST = 16
ENCRYPTED, UTF8 = 1, 1 << 11
"""Flags of a member of a zip archive."""
UNICODE_PATH = 0x7075
RESOURCES = "__MACOSX"
"""The folder in which archives of macOS keep metadata."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@dataclass(frozen=True)
class File:
    """One file of a tree: its path within, with `/` between, how many bytes it has, and how they are opened.

    A name is `guessed` if the archive does not declare its encoding: it is read as cp437, of MS-DOS.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    guessed: bool = False

    def read(self) -> bytes:
        """All its bytes; raises TooLarge for a file over the limit."""
        if self.size > LARGEST_FILE:
            raise TooLarge(self.name, f"has {self.size:,} bytes; accepted: at most {LARGEST_FILE:,}")
        with self.open() as opened:
            return opened.read()


@dataclass(frozen=True)
class Folder:
    """A folder within a tree, by its path; an archive need not name those that hold something."""

    name: str


Entry = File | Folder


@contextmanager
def entries(root: Path) -> Iterator[Iterator[Entry]]:
    """Every file and folder of a folder, sorted by name, or archive.

    A file must be read before the next one. Raises NotFound if there is no such tree, and InvalidInput that names it if
    it cannot be read or is unsafe, at once or while its files are read.
    """
    with _as_invalid_input(root):
        yield _kind(root)(root)


@contextmanager
def files(root: Path) -> Iterator[Iterator[File]]:
    """The files alone, without the hidden ones."""
    with entries(root) as files:
        yield (entry for entry in files if isinstance(entry, File) and not hidden(entry.name))


def _kind(root: Path) -> Callable[[Path], Iterator[Entry]]:
    name = root.name.lower()
    if root.is_dir():
        return _in_folder
    if not root.exists():
        raise NotFound(str(root), "there is no such folder or archive")
    if not name.endswith(ARCHIVES):
        raise InvalidInput(str(root), f"must be a folder, or an archive whose name ends in {', '.join(ARCHIVES)}")
    return _in_zip if name.endswith(".zip") else _in_tar


def fingerprint(root: Path) -> list[tuple[str, int, int, int]]:
    """A fingerprint of a tree: name, size and times of the archive, or of each file of a folder."""
    if not root.is_dir():
        _kind(root)
    with _as_invalid_input(root):
        paths = [path for path in _walk(root, root, DEEPEST) if not path.is_dir()] if root.is_dir() else [root]
        states = [(str(path.relative_to(root)), _state(path)) for path in paths]
    return [(name, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for name, state in states]


def _in_folder(root: Path) -> Iterator[Entry]:
    for path in _walk(root, root, DEEPEST):
        if path.is_dir():
            yield Folder(path.relative_to(root).as_posix())
        else:
            yield File(path.relative_to(root).as_posix(), _state(path).st_size, partial(path.open, "rb"))  # type: ignore[arg-type]


def _state(path: Path) -> os.stat_result:
    """The stat of a file, or of a link whose target is missing."""
    return path.stat() if path.exists() else path.lstat()


def _walk(root: Path, folder: Path, depth: int) -> Iterator[Path]:
    if not depth:
        raise InvalidInput(
            str(folder), f"lies more than {DEEPEST} folders below {root}; is there a link to a parent folder?"
        )
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield Path(entry.path)
            yield from _walk(root, Path(entry.path), depth - 1)
        elif entry.is_file() or not Path(entry.path).exists():  # a link whose target is missing cannot be read
            yield Path(entry.path)


def _in_zip(root: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(root) as archive:
        members = archive.infolist()
        _check_total(root, sum(member.file_size for member in members))
        for member in members:
            zipped, guessed = _zipped_name(member)
            name = _checked(root, zipped, plain=not stat.S_ISLNK(member.external_attr >> 16))
            if member.is_dir():
                yield Folder(name)
                continue
            if member.flag_bits & ENCRYPTED:
                raise InvalidInput(str(root), f"is encrypted ({name!r}); unpack it with its password")
            if member.compress_type not in METHODS:
                method = zipfile.compressor_names.get(member.compress_type, member.compress_type)  # type: ignore[attr-defined]
                raise InvalidInput(str(root), f"uses an unsupported compression method ({method}); unpack it yourself")
            yield File(name, member.file_size, partial(archive.open, member), guessed)  # type: ignore[arg-type]


def _zipped_name(member: zipfile.ZipInfo) -> tuple[str, bool]:
    """A member's name, and whether it is a guess: UTF-8 where its bytes are, though many packers do not say so."""
    if member.flag_bits & UTF8:
        return member.filename, False
    raw = member.orig_filename.encode("cp437")
    if (name := _unicode_path(member.extra, zlib.crc32(raw))) is not None:
        return name, False
    try:
        return raw.decode(), False
    except UnicodeError:
        return member.filename, True


def _unicode_path(extra: bytes, checksum: int) -> str | None:
    """The name in UTF-8 that packers of Windows put beside one in its own encoding, of which it has the checksum
    (Info-ZIP's Unicode Path Extra Field)."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == UNICODE_PATH and size > 5 and int.from_bytes(extra[5:9], "little") == checksum:
            with suppress(UnicodeError):
                return extra[9 : 4 + size].decode()
        extra = extra[4 + size :]
    return None


def _in_tar(root: Path) -> Iterator[Entry]:
    with tarfile.open(root, tarinfo=_Member, encoding="utf-8") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            _check_total(root, archive.offset)
            name = _checked(root, member.name, plain=member.isreg() or member.isdir())
            if member.isdir():
                yield Folder(name)
            else:
                yield File(name, member.size, partial(archive.extractfile, member))  # type: ignore[arg-type]
        while archive.fileobj and archive.fileobj.read(BLOCK):  # the checksum is compared only at the end
            pass


class _Member(tarfile.TarInfo):
    """A header that reports truncation: tarfile itself takes a truncated archive for a complete one."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if len(buf) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it is truncated: a complete tar archive ends in zeros")
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]  # tarfile takes it for the end too
            raise tarfile.ReadError(f"it is damaged: {error}") from None


def _check_total(root: Path, unpacked: int) -> None:
    packed = root.stat().st_size
    if unpacked > max(BOMB_BYTES, BOMB_RATIO * packed):
        raise TooLarge(str(root), f"unpacks to more than {BOMB_RATIO} times its {packed:,} bytes; unpack it yourself")


def _checked(root: Path, name: str, *, plain: bool) -> str:
    """The name of an archive's member, if it stays inside the tree."""
    if not plain:
        raise InvalidInput(str(root), f"holds {name!r}, which is a link or device; accepted: files and folders")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise InvalidInput(str(root), f"holds {name!r}, which is outside of it; accepted: names below it")
    return str(path)


def shown(name: str) -> str:
    """A name that can be printed, even if its bytes are not UTF-8."""
    return name.encode(errors="backslashreplace").decode()


def hidden(name: str) -> bool:
    """Whether a name within a tree is hidden."""
    return any(part.startswith(".") or part == RESOURCES for part in name.split("/"))


@contextmanager
def _as_invalid_input(root: Path) -> Iterator[None]:
    """Turn errors of reading a folder or archive into InvalidInput that names it."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(str(error.filename or root), f"cannot be read: {error.strerror or error}") from None
    except _BROKEN as error:
        raise InvalidInput(str(root), f"cannot be unpacked ({error})") from None


# zipfile raises ValueError for damaged names, and RuntimeError if a password is needed
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
