import os
import shutil
import signal
from pathlib import Path

import pytest

from tailorbird import files
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
    with (
        pytest.raises(Unavailable, match=rf"^{tmp_path} cannot be written: Too many levels"),
        files.as_unavailable(tmp_path),
    ):
        (tmp_path / "loop").symlink_to("loop")
        Path(tmp_path / "loop").read_bytes()
    with pytest.raises(ValueError, match="mine"), files.as_unavailable(tmp_path):
        raise ValueError("mine")


# --- new folders and files


def fill(folder):
    files.write_chunks(folder / "a", [b"1"])
    files.write_chunks(folder / "b", [b"2"])


def test_a_folder_has_its_name_when_all_is_in_it_and_on_the_disk(tmp_path, steps):
    with files.new_folder(tmp_path / "folder") as hidden:
        fill(hidden)
        assert not (tmp_path / "folder").exists()
    assert steps[-5:] == [
        ("flush", str(hidden / "a")),
        ("flush", str(hidden / "b")),
        ("flush", str(hidden)),
        ("name", str(hidden), str(tmp_path / "folder")),
        ("flush", str(tmp_path)),
    ]
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_has_its_name_when_it_is_whole(tmp_path, steps):
    with files.new_file(tmp_path / "out.tar") as hidden:
        assert hidden.name == "out.tar"
        files.write_chunks(hidden, [b"1"])
        assert not (tmp_path / "out.tar").exists()
    assert steps[-2:] == [("name", str(hidden), str(tmp_path / "out.tar")), ("flush", str(tmp_path))]
    assert [path.name for path in tmp_path.iterdir()] == ["out.tar"]


@pytest.mark.parametrize("new", [files.new_folder, files.new_file])
def test_after_an_exception_nothing_is_left(tmp_path, new):
    with pytest.raises(ValueError, match="mine"), new(tmp_path / "deep" / "er"):
        raise ValueError("mine")
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_folder_that_is_not_empty_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    with pytest.raises(OSError, match="not empty"), files.new_folder(tmp_path / "folder") as hidden:
        fill(hidden)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "mine"]


def test_a_folder_whose_process_dies_at_any_step_is_whole_or_absent(tmp_path, deaths):
    def make(_):
        with files.new_folder(tmp_path / "folder") as hidden:
            fill(hidden)
        return True

    def check(acknowledged):
        if acknowledged or (tmp_path / "folder").exists():
            assert {path.name: path.read_bytes() for path in (tmp_path / "folder").iterdir()} == {"a": b"1", "b": b"2"}
        shutil.rmtree(tmp_path / "folder", ignore_errors=True)

    assert deaths(make, check) >= 8


# --- files that are written once


def test_what_was_written_once_stays_and_is_nobody_elses_business(tmp_path, steps):
    path = tmp_path / "deep" / "key"
    files.write_once(path, b"first")
    assert steps[-1] == ("flush", str(path.parent))
    files.write_once(path, b"second")
    assert path.read_bytes() == b"first" and path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_of_many_that_write_at_once_one_is_heard_and_nobody_reads_half(tmp_path, race):
    def write(number):
        files.write_once(tmp_path / "key", bytes([number]) * 2**16)
        return (tmp_path / "key").read_bytes()

    assert len({bytes(one) for one in race(write, 6)}) == 1


# --- locks


def test_a_lock_lets_one_process_in_at_a_time(tmp_path, race):
    (tmp_path / "count").write_text("0")

    def count(_):
        for _ in range(50):
            with files.locked(tmp_path / "lock"):
                (tmp_path / "count").write_text(str(int((tmp_path / "count").read_text()) + 1))

    assert race(count, 4) == [None] * 4
    assert (tmp_path / "count").read_text() == "200"


def test_a_lock_ends_with_its_process(tmp_path, die):
    def hold():
        with files.locked(tmp_path / "lock"):
            os.kill(os.getpid(), signal.SIGKILL)

    assert die(hold, 10**6)[0]
    assert not files.in_use(tmp_path / "lock")
    with files.locked(tmp_path / "lock"):
        assert files.in_use(tmp_path / "lock")
