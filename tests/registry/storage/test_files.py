from pathlib import Path

import pytest

from registry.storage import files
from tailorbird.errors import Unavailable


def test_write_flushed_replaces_a_file_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old and long")
    with path.open("rb") as reader:
        files.write_flushed(path, b"new")
        assert reader.read() == b"old and long"  # who had it open reads on
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_written_flushed_is_on_the_disk_with_its_name(tmp_path, steps):
    files.write_flushed(tmp_path / "file", b"data")
    [(_, temporary, target)] = [step for step in steps if step[0] == "name"]
    assert target == str(tmp_path / "file")
    assert steps == [("flush", temporary), ("name", temporary, target), ("flush", str(tmp_path))]


def test_files_get_their_names_in_order_after_all_are_on_the_disk(tmp_path, steps):
    paths = [tmp_path / name for name in ("b", "c", "a")]
    files.write_all({path: path.name.encode() for path in paths})
    assert [step[0] for step in steps] == ["flush"] * 3 + ["name"] * 3
    assert [step[2] for step in steps[3:]] == [str(path) for path in paths]
    assert [path.read_bytes() for path in paths] == [b"b", b"c", b"a"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_of_files_one_of_which_cannot_be_written_that_one_is_named_and_none_appears(tmp_path):
    wrong = tmp_path / "missing" / "file"
    with pytest.raises(Unavailable, match=rf"^{wrong} cannot be written: No such file or directory$"):
        files.write_all({tmp_path / "one": b"1", wrong: b"2", tmp_path / "three": b"3"})
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_in_pieces_and_flushed(tmp_path, steps):
    files.write_chunks(tmp_path / "file", (bytes([n]) for n in range(10)))
    assert (tmp_path / "file").read_bytes() == bytes(range(10))
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    assert steps == [("flush", str(tmp_path / "file"))]
    with pytest.raises(FileExistsError):
        files.write_chunks(tmp_path / "file", [b"other"])


def test_folders_are_made_with_their_parents_and_flushed(tmp_path, steps):
    files.make_folder(tmp_path / "a" / "b")
    files.make_folder(tmp_path / "a" / "b")
    assert steps == [
        ("make", str(tmp_path / "a")),
        ("flush", str(tmp_path)),
        ("make", str(tmp_path / "a" / "b")),
        ("flush", str(tmp_path / "a")),
    ]


def test_a_folder_that_is_flushed_is_not_left_open(tmp_path):
    before = len([*Path("/proc/self/fd").iterdir()])
    files.flush(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.flush(tmp_path / "missing")
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_only_what_the_system_has_against_it_is_told(tmp_path):
    with pytest.raises(Unavailable, match=rf"^{tmp_path} cannot be written: Too many levels"), files.told(tmp_path):
        (tmp_path / "loop").symlink_to("loop")
        Path(tmp_path / "loop").read_bytes()
    with pytest.raises(ValueError, match="mine"), files.told(tmp_path):
        raise ValueError("mine")
