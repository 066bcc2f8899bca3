import io
import os
import struct
import tarfile
import zipfile
import zlib

import pytest

from tailorbird.errors import InvalidInput, NotFound, TooLarge
from training.datasets import trees

CONTENT = {"b/two.txt": b"2" * 2000, "a/one.txt": b"1", "a/deep/er/none.txt": b"", "top.txt": b"top"}
SUFFIXES = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip", ".TAR.GZ", ".Zip"]


def packed(path, content, links=()):
    """An archive, made by hand so that it may hold what no packer would put in."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
            for name, target in links:
                member = zipfile.ZipInfo(name)
                member.external_attr = 0o120777 << 16
                archive.writestr(member, target)
        return path
    kind = next((kind for kind in ("gz", "xz", "bz2") if path.name.lower()[-3:].endswith(kind[-2:])), "")
    with tarfile.open(path, f"w:{kind}") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


def unpacked(root, content):
    for name, data in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def read(root):
    with trees.files(root) as files:
        return [(file.name, file.size, file.read()) for file in files]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_is_read_in_its_own_order(tmp_path, suffix):
    path = packed(tmp_path / f"set{suffix}", CONTENT)
    assert read(path) == [(name, len(data), data) for name, data in CONTENT.items()]


def test_a_folder_is_read_by_name(tmp_path):
    root = unpacked(tmp_path / "set", CONTENT)
    assert read(root) == [(name, len(CONTENT[name]), CONTENT[name]) for name in sorted(CONTENT)]


@pytest.mark.parametrize("suffix", ["", ".tar", ".zip"])
def test_hidden_files_and_what_macos_adds_are_left_out(tmp_path, suffix):
    content = {**CONTENT, "a/.DS_Store": b"x", "__MACOSX/a/._one.txt": b"x", ".git/config": b"x"}
    path = tmp_path / f"set{suffix}"
    root = packed(path, content) if suffix else unpacked(path, content)
    assert {name for name, _, _ in read(root)} == CONTENT.keys()


def test_names_that_begin_with_a_dot_and_a_slash_are_plain(tmp_path):
    assert read(packed(tmp_path / "set.tar", {"./a/one.txt": b"1"})) == [("a/one.txt", 1, b"1")]


@pytest.mark.parametrize("suffix", [".tar", ".tar.xz", ".zip"])
@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/etc/passwd", "a\\..\\..\\out.txt", "C:/out.txt"])
def test_a_name_that_leads_out_is_refused(tmp_path, suffix, name):
    path = packed(tmp_path / f"set{suffix}", {"a/one.txt": b"1", name: b"x"})
    with pytest.raises(InvalidInput, match="which is outside of it") as refused:
        read(path)
    assert refused.value.field == str(path)


@pytest.mark.parametrize("suffix", [".tar", ".tar.xz", ".zip"])
def test_a_link_is_refused(tmp_path, suffix):
    path = packed(tmp_path / f"set{suffix}", CONTENT, links=[("a/three.txt", "/etc/passwd")])
    with pytest.raises(InvalidInput, match=r"holds 'a/three\.txt', which is a link or device"):
        read(path)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
def test_what_unpacks_to_far_more_than_it_is_is_refused(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(trees, "BOMB_BYTES", 10_000)
    path = packed(tmp_path / f"set{suffix}", {f"{number}.bin": bytes(200_000) for number in range(20)})
    with pytest.raises(TooLarge, match="unpacks to more than 100 times its"):
        read(path)


@pytest.mark.parametrize("suffix", ["", ".tar", ".zip"])
def test_a_file_over_the_limit_is_not_read(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(trees, "LARGEST_FILE", 1999)
    path = tmp_path / f"set{suffix}"
    root = packed(path, CONTENT) if suffix else unpacked(path, CONTENT)
    with pytest.raises(TooLarge, match=r"b/two.txt: has 2,000 bytes; accepted: at most 1,999"):
        read(root)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
def test_every_cut_is_noticed(tmp_path, suffix):
    random = {f"{number}.bin": os.urandom(700) for number in range(4)}
    path = packed(tmp_path / f"set{suffix}", random)
    data = path.read_bytes()
    end = 4 * (512 + 1024) if suffix == ".tar" else len(data)  # beyond it are only zeros
    for length in {*range(0, end, 61), *range(0, end, 512)}:
        path.write_bytes(data[:length])
        with pytest.raises(InvalidInput) as refused:
            read(path)
        assert refused.value.field == str(path)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
def test_a_changed_byte_is_noticed(tmp_path, suffix):
    path = packed(tmp_path / f"set{suffix}", {"one.bin": os.urandom(5000)})
    data = bytearray(path.read_bytes())
    for position in range(1000, 4000, 97):
        data[position] ^= 16
        path.write_bytes(data)
        data[position] ^= 16
        with pytest.raises(InvalidInput):
            read(path)


def test_a_password_is_told(tmp_path):
    path = packed(tmp_path / "set.zip", {"one.txt": b"1"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"set.zip: is encrypted \('one.txt'\); unpack it with its password$"):
        read(path)


def test_a_method_of_packing_that_is_not_known_is_told(tmp_path):
    path = packed(tmp_path / "set.zip", {"one.txt": b"1"})
    data = bytearray(path.read_bytes())
    data[8] = data[data.index(b"PK\1\2") + 10] = 9
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"uses an unsupported compression method \(deflate64\); unpack it yourself"):
        read(path)


@pytest.mark.parametrize(("raw", "name"), [("Äpfel".encode(), "Äpfel"), ("Äpfel".encode("cp437"), "Äpfel")])
def test_names_in_a_zip_are_utf8_where_their_bytes_are(tmp_path, raw, name):
    class Unflagged(zipfile.ZipInfo):
        def _encodeFilenameFlags(self):  # noqa: N802  # of zipfile, which sets the flag of UTF-8
            return raw + b"/1.txt", 0

    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(Unflagged("x"), b"1")
    assert read(tmp_path / "set.zip") == [(f"{name}/1.txt", 1, b"1")]


def test_a_name_in_utf8_beside_one_in_another_encoding_is_taken(tmp_path):
    raw = "\u0421\u043e\u0432\u0430/1.txt".encode("cp866")

    class Packed(zipfile.ZipInfo):
        """As packers of Windows do it, with the checksum of a name."""

        def _encodeFilenameFlags(self):  # noqa: N802
            return raw, 0

    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, of in (("\u0421\u043e\u0432\u0430/1.txt", raw), ("another", b"another name")):
            member = Packed(name)
            beside = struct.pack("<BI", 1, zlib.crc32(of)) + name.encode()
            member.extra = struct.pack("<HHI", 0x9999, 4, 0) + struct.pack("<HH", 0x7075, len(beside)) + beside
            archive.writestr(member, b"1")
    names = [name for name, *_ in read(tmp_path / "set.zip")]
    assert names == ["\u0421\u043e\u0432\u0430/1.txt", raw.decode("cp437")]


def test_what_is_no_tree_is_told(tmp_path):
    with pytest.raises(NotFound, match="there is no such folder or archive"):
        read(tmp_path / "nothing")
    (tmp_path / "set.rar").write_bytes(b"Rar!")
    with pytest.raises(InvalidInput, match=r"must be a folder, or an archive whose name ends in \.zip, \.tar"):
        read(tmp_path / "set.rar")
    (tmp_path / "set.tar").write_bytes(b"not a tar")
    with pytest.raises(InvalidInput, match="cannot be unpacked"):
        read(tmp_path / "set.tar")


def test_a_loop_of_links_ends(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path / "set")
    with pytest.raises(InvalidInput, match="is there a link to a parent folder"):
        read(tmp_path / "set")


def test_a_linked_folder_of_the_users_own_is_followed(tmp_path):
    unpacked(tmp_path / "elsewhere", {"one.txt": b"1"})
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").symlink_to(tmp_path / "elsewhere")
    assert read(tmp_path / "set") == [("a/one.txt", 1, b"1")]


def test_a_fingerprint_tells_every_change(tmp_path):
    root = unpacked(tmp_path / "set", CONTENT)
    before = trees.fingerprint(root)
    assert trees.fingerprint(root) == before
    (root / "a" / "one.txt").write_bytes(b"11")
    grown = trees.fingerprint(root)
    os.utime(root / "b" / "two.txt", ns=(1, 1))
    touched = trees.fingerprint(root)
    (root / "top.txt").rename(root / "tip.txt")
    renamed = trees.fingerprint(root)
    assert len({str(one) for one in (before, grown, touched, renamed)}) == 4
    archive = packed(tmp_path / "set.zip", CONTENT)
    whole = trees.fingerprint(archive)
    os.utime(archive, ns=(1, 1))
    assert trees.fingerprint(archive) != whole


def test_a_damaged_header_is_noticed(tmp_path):
    path = packed(tmp_path / "set.tar", {f"{number}.bin": os.urandom(700) for number in range(4)})
    data = bytearray(path.read_bytes())
    for member in range(1, 4):
        for place in (0, 130, 150):
            at = member * (512 + 1024) + place
            data[at] ^= 1
            path.write_bytes(data)
            data[at] ^= 1
            with pytest.raises(InvalidInput, match=r"cannot be unpacked .*damaged"):
                read(path)
