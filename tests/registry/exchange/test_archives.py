import gzip
import tarfile
import tracemalloc

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as configure
from hypothesis import strategies as st

from registry import packages
from registry.exchange import archives
from registry.exchange.carried import LARGEST_JSON
from registry.storage.folder import FolderStore
from tailorbird.errors import Corrupt
from tailorbird.package.manifest import MANIFEST
from tests.carried import describe, packages_json, write_archive
from tests.packages import ABOUT


@pytest.fixture(scope="module")
def written(package_files, tmp_path_factory):
    """An archive as it is written, packed and not, with the files that it is of."""
    folder = tmp_path_factory.mktemp("archives")
    store = FolderStore(folder)
    digest = packages.put(store, package_files(), ABOUT)
    for name in ("out.tar", "out.tgz"):
        archives.write(store, digest, folder / name)
    return folder, package_files()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.tar"


def refusal(path):
    with pytest.raises(Corrupt) as caught:
        archives.read(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300
    return str(caught.value)


def entries(files):
    return [(MANIFEST, packages_json(describe(files, ABOUT.record()))), *files.items()]


@pytest.mark.parametrize("name", ["out.tar", "out.tgz"])
def test_what_is_written_is_read(written, name):
    folder, files = written
    assert archives.is_archive(folder / name)
    package = archives.read(folder / name)
    assert package.files == files
    assert (package.manifest.model, package.number) == ("fashion", None)


def test_an_archive_of_another_tool_is_read(package_files, path):
    files = package_files()
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert archives.read(write_archive(path, entries(files), form)).files == files


def header(kind, name="model.onnx", to="/etc/passwd"):
    written = tarfile.TarInfo(name)
    written.type, written.linkname = kind, to
    return written


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [(tarfile.SYMTYPE, "a link"), (tarfile.LNKTYPE, "a link"), (tarfile.DIRTYPE, "a folder"),
     (tarfile.CHRTYPE, "a device"), (tarfile.BLKTYPE, "a device"), (tarfile.FIFOTYPE, "a pipe"),
     *((kind, "of a type that packages do not hold") for kind in
       (tarfile.CONTTYPE, tarfile.AREGTYPE, tarfile.GNUTYPE_SPARSE, b"Z"))],
)  # fmt: skip
def test_what_is_no_plain_file_is_refused(package_files, path, kind, sentence):
    files = package_files()
    listed = [(header(kind), b"") if name == "model.onnx" else (name, data) for name, data in entries(files)]
    assert refusal(write_archive(path, listed)) == f"'model.onnx' is {sentence}, not a plain file"
    assert sentence in refusal(write_archive(path, [(header(kind, MANIFEST), b""), *entries(files)]))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_headers_that_carry_names_are_not_understood(package_files, path, kind):
    carrying = header(kind, "x")
    data = b"26 path=../../etc/passwd\n\n"
    assert "is of a type that packages do not hold" in refusal(
        write_archive(path, [(carrying, data), *entries(package_files())])
    )


@pytest.mark.parametrize(
    "name",
    ["../model.onnx", "/etc/passwd", "..", "a/model.onnx", "./model.onnx", "%2e%2e", "model.onnx ", "evil.py",
     "Model.onnx", "x" * 99, "d" * 90 + "/" + "x" * 90],
)  # fmt: skip
def test_a_name_that_is_none_of_a_package_is_refused(package_files, path, name):
    listed = entries(package_files())
    assert refusal(write_archive(path, [*listed, (name, b"evil")])).endswith("is not in its manifest.json")
    assert refusal(write_archive(path, [listed[0], (name, b"evil"), *listed[1:]])).endswith("its manifest.json")


def test_a_name_that_is_not_ascii_is_refused(package_files, path):
    wrong = [*entries(package_files()), ("mоdel.onnx", b"")]
    assert "damaged header" in refusal(write_archive(path, wrong, tarfile.GNU_FORMAT))


@configure(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=300),
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE]),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_no_entry_more_is_let_in(package_files, path, name, kind, form):
    refusal(write_archive(path, [*entries(package_files()), (header(kind, name), b"")], form))


@pytest.mark.parametrize("name", ["model.onnx", MANIFEST])
def test_a_file_twice_is_refused(package_files, path, name):
    listed = entries(package_files())
    [again] = [entry for entry in listed if entry[0] == name]
    assert refusal(write_archive(path, [*listed, again])) == f"{name} is in it more than once"


@pytest.mark.parametrize("name", sorted(packages.REQUIRED))
def test_a_file_less_is_named(package_files, path, name):
    listed = [entry for entry in entries(package_files()) if entry[0] != name]
    assert refusal(write_archive(path, listed)) == f"{name} is missing"


def test_the_manifest_comes_first(package_files, path):
    assert refusal(write_archive(path, entries(package_files())[::-1])).startswith("it begins with '")
    assert refusal(write_archive(path, [])).startswith("it is empty, not with manifest.json")


def test_a_changed_file_is_named(package_files, path):
    changed = [(name, data.swapcase() if name == "model.onnx" else data) for name, data in entries(package_files())]
    assert refusal(write_archive(path, changed)) == "model.onnx does not match its SHA-256 sum"


@pytest.mark.parametrize("by", [-1, 1, 512])
def test_a_file_of_another_size_is_not_read(package_files, path, by):
    changed = [
        (name, (data + bytes(512))[: len(data) + by] if name == "model.onnx" else data)
        for name, data in entries(package_files())
    ]
    assert refusal(write_archive(path, changed)).startswith("model.onnx has ")


def test_what_follows_the_end_is_refused(written, path):
    whole = (written[0] / "out.tar").read_bytes()
    path.write_bytes(whole + bytes(tarfile.RECORDSIZE - tarfile.BLOCKSIZE))
    archives.read(path)
    for more in (b"evil", bytes(511) + b"x", bytes(tarfile.RECORDSIZE), whole):
        path.write_bytes(whole + more)
        assert refusal(path) == "it goes on after its last file"
    for more in (b"evil", gzip.compress(b"evil"), gzip.compress(whole)):
        path.write_bytes(gzip.compress(whole) + more)
        refusal(path)


def test_an_archive_cut_anywhere_is_refused(written, path):
    whole = (written[0] / "out.tar").read_bytes()
    for end in sorted({*range(0, len(whole), 512), *range(0, len(whole), 997), len(whole) - 1}):
        path.write_bytes(whole[:end])
        refusal(path)


def test_a_packed_archive_cut_anywhere_is_refused(written, path):
    whole = (written[0] / "out.tgz").read_bytes()
    for end in {*range(2, len(whole), 31), *range(len(whole) - 12, len(whole))}:
        path.write_bytes(whole[:end])
        refusal(path)


def test_one_bit_flipped_behind_the_manifest_is_refused(written, path):
    whole = (written[0] / "out.tar").read_bytes()
    begin = whole.index(b"baseline.json\0")  # the header of the first file
    sums = {start + within for start in range(0, len(whole), 512) for within in range(148, 156)}  # "0" may be " " there
    for position in sorted({*range(begin, begin + 512), *range(begin, len(whole), 53)} - sums):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
        refusal(path)


@configure(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2**20), bit=st.integers(0, 7))
def test_one_bit_flipped_in_a_packed_archive_is_refused_or_changes_nothing(written, path, place, bit):
    whole = bytearray((written[0] / "out.tgz").read_bytes())
    whole[place % len(whole)] ^= 1 << bit
    path.write_bytes(whole)
    try:
        package = archives.read(path)
    except Corrupt:
        return
    assert package.files == written[1]  # nobody reads the time in its header, nor the bits that fill its last byte


@configure(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=3000), packed=st.booleans())
def test_no_bytes_raise_anything_but_corrupt(path, data, packed):
    path.write_bytes(gzip.compress(data) if packed else data)
    refusal(path)


# --- bombs


@pytest.fixture
def little_memory():
    tracemalloc.start()
    yield
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 16 * 2**20


def packed(path, *parts):
    """Write blocks and long runs of zeros, which are small when they are compressed."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        for part in parts:
            for _ in range(part // 2**20 if isinstance(part, int) else 1):
                file.write(bytes(2**20) if isinstance(part, int) else part)
    assert path.stat().st_size < 2**20
    return path


def block(name, size, kind=tarfile.REGTYPE):
    written = header(kind, name)
    written.size = size
    return written.tobuf(tarfile.GNU_FORMAT)


def entry(name, data):
    return block(name, len(data)) + data + bytes(-len(data) % 512)


BOMB = 64 * 2**20


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE])
def test_a_bomb_is_not_unpacked(package_files, path, kind, little_memory):
    listed = entries(package_files())
    bomb = packed(path, entry(*listed[0]), block("model.onnx", BOMB, kind), BOMB)
    assert "manifest.json lists" in refusal(bomb) or "of a type" in refusal(bomb)


def test_a_bomb_in_place_of_the_manifest_is_not_unpacked(path, little_memory):
    assert refusal(packed(path, block(MANIFEST, BOMB), BOMB)).endswith(f"accepted: at most {LARGEST_JSON:,}")
    assert "begins with" in refusal(packed(path, block("x", BOMB), BOMB))
    assert "is empty" in refusal(packed(path, BOMB))


def test_a_bomb_after_the_end_is_not_unpacked(package_files, path, little_memory):
    bomb = packed(path, *(entry(*one) for one in entries(package_files())), BOMB)
    assert refusal(bomb) == "it goes on after its last file"


def test_sizes_below_zero_are_refused(package_files, path):
    # GNU's own notation of a number that octal digits cannot hold
    negative = bytearray(block(MANIFEST, 0))
    negative[124:136] = b"\xff" * 12
    negative[148:156] = b" " * 8
    negative[148:156] = b"%06o\0 " % sum(negative)
    path.write_bytes(bytes(negative) + bytes(1024))
    assert refusal(path) == f"manifest.json has -1 bytes; accepted: at most {LARGEST_JSON:,}"


def test_damaged_compression_is_told(written, path):
    path.write_bytes((written[0] / "out.tgz").read_bytes()[:-1])
    assert refusal(path).startswith("its compression is damaged: ")
    path.write_bytes(archives.GZIP + b"poem")
    assert refusal(path).startswith("its compression is damaged: ")


@pytest.mark.parametrize("data", [b"", b"poem", b"PK\x03\x04" + bytes(600), bytes(10_240)])
def test_what_is_no_archive_is_none(path, data):
    path.write_bytes(data)
    assert not archives.is_archive(path)
