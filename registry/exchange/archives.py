"""A package as one archive: an uncompressed or gzipped tar of its files, `manifest.json` first.

Equal packages give equal archives: every entry is a plain file without an owner, dated 1970. An archive is read
sequentially, and only headers of plain files are accepted: other types (long names, links, sparse files) are what
attacks on archive readers use.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from registry import packages
from registry.exchange import carried
from registry.exchange.carried import Carried, Readable
from registry.storage.blobs import BlobStore
from tailorbird.errors import Corrupt, InvalidInput
from tailorbird.files import write_chunks
from tailorbird.package.manifest import MANIFEST, Manifest, shown

SUFFIXES = (".tar", ".tar.gz", ".tgz")
GZIP = b"\x1f\x8b"
LEVEL = 6  # the same bytes with the same zlib
KINDS = {
    tarfile.SYMTYPE: "a link",
    tarfile.LNKTYPE: "a link",
    tarfile.DIRTYPE: "a folder",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}
_END = bytes(tarfile.BLOCKSIZE)


def check_suffix(path: Path) -> None:
    """Raise InvalidInput if the name has none of the suffixes."""
    if not path.name.endswith(SUFFIXES):
        raise InvalidInput("path", f"{path} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


def write(blobs: BlobStore, digest: str, path: Path) -> None:
    """Write a stored package as a new archive."""
    packed = _packed(blobs, digest)
    write_chunks(path, packed if path.name.endswith(".tar") else _gzipped(packed))


def is_archive(path: Path) -> bool:
    """Whether a file begins as an archive does."""
    with carried.opened(path.resolve(), path.name) as file:
        start = file.read(tarfile.BLOCKSIZE)
    return bool(start.startswith(GZIP) or start[257:262] == b"ustar")


def read(path: Path) -> Carried:
    """Read an archive; raises Corrupt if it is not one complete package."""
    with _unpacked(path) as stream:
        digest, manifest = carried.parse(_first(stream))
        return Carried(digest, manifest, _files(stream, manifest))


def _packed(blobs: BlobStore, digest: str) -> Iterator[bytes]:
    files = packages.manifest(blobs, digest).files
    about = blobs.get(digest)
    yield from _entry(MANIFEST, len(about), [about])
    for name, promised in files.items():
        with packages.named(name):
            yield from _entry(name, promised.size, blobs.chunks(promised.sha256))
    yield _END * 2


def _entry(name: str, size: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    header = tarfile.TarInfo(name)
    header.size = size
    yield header.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    written = 0
    for chunk in chunks:
        written += len(chunk)
        yield chunk
    if written != size:
        raise Corrupt(f"has {written:,} bytes, but {MANIFEST} lists {size:,}")
    yield bytes(-size % tarfile.BLOCKSIZE)


def _gzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(LEVEL, wbits=16 + zlib.MAX_WBITS)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


@contextmanager
def _unpacked(path: Path) -> Iterator[Readable]:
    with path.open("rb") as file:
        zipped = file.read(len(GZIP)) == GZIP
        file.seek(0)
        try:
            yield gzip.GzipFile(fileobj=file) if zipped else file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Corrupt(f"its compression is damaged: {error}") from None


def _first(stream: Readable) -> bytes:
    header = _header(stream)
    if header is None or header.name != MANIFEST:
        begins = "is empty" if header is None else f"begins with {shown(header.name)}"
        raise Corrupt(f"it {begins}, not with {MANIFEST}: `tailorbird registry export --archive` writes that first")
    carried.check_small(MANIFEST, header.size)
    return _block(stream, MANIFEST, header.size)


def _files(stream: Readable, manifest: Manifest) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    while header := _header(stream):
        name = header.name
        if name in files or name == MANIFEST:
            raise Corrupt(f"{name} is in it more than once")
        promised = carried.promised(name, manifest.files)
        if header.size != promised.size:
            raise Corrupt(f"{name} has {header.size:,} bytes, but {MANIFEST} lists {promised.size:,}")
        files[name] = carried.take(stream, name, promised)
        _padding(stream, name, promised.size)
    carried.check_complete(files.keys(), manifest.files)
    # the first of the two zero blocks has been read; reading to the last byte also verifies the checksum of gzip
    rest = stream.read(tarfile.RECORDSIZE + 1)
    if not tarfile.BLOCKSIZE <= len(rest) <= tarfile.RECORDSIZE or any(rest):
        raise Corrupt("it goes on after its last file")
    return files


def _header(stream: Readable) -> tarfile.TarInfo | None:
    """The next entry, which is a plain file; None at the end."""
    block = _block(stream, "it", tarfile.BLOCKSIZE)
    if block == _END:
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError):
        raise Corrupt("it has a damaged header, or is not an archive") from None
    if header.type != tarfile.REGTYPE:
        kind = KINDS.get(header.type, "of a type that packages do not hold")
        raise Corrupt(f"{shown(header.name)} is {kind}, not a plain file")
    return header


def _block(stream: Readable, name: str, size: int) -> bytes:
    """Read some bytes, and the zeros that fill their last block."""
    data = stream.read(size)
    if len(data) < size:
        raise Corrupt(f"{name} ends after {len(data):,} of {size:,} bytes")
    _padding(stream, name, size)
    return data


def _padding(stream: Readable, name: str, size: int) -> None:
    if any(padding := stream.read(-size % tarfile.BLOCKSIZE)) or len(padding) != -size % tarfile.BLOCKSIZE:
        raise Corrupt(f"{name} is not followed by zeros to the end of its block")
