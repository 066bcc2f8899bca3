import errno
import hashlib
import os
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from registry import blobs
from registry.blobs import BlobStore
from tailorbird.errors import Corrupt, Unavailable


@pytest.fixture
def store(tmp_path):
    return BlobStore(tmp_path / "storage")


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.binary(max_size=100), max_size=5))
def test_what_is_put_is_got_under_its_sum(store, contents):
    for data in contents:
        digest = store.put(data)
        assert digest == hashlib.sha256(data).hexdigest()
        assert store.get(digest) == data
        assert store.path(digest) == store.folder / digest[:2] / digest


def test_the_same_bytes_are_written_once(store):
    path = store.path(store.put(b"data"))
    before = path.stat()
    assert store.put(b"data") == path.name
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert files(store.folder) == [path]


def test_others_may_read_a_blob(store):
    assert store.path(store.put(b"data")).stat().st_mode & 0o777 == 0o644


def damaged(path, how):
    data = path.read_bytes()
    if how == "flipped":
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    elif how == "cut":
        path.write_bytes(data[:-1])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "deleted"])
def test_a_damaged_blob_is_refused_by_name_and_mended_by_putting_it_again(store, how):
    digest = store.put(b"some data")
    damaged(store.path(digest), how)
    with pytest.raises(Corrupt, match=str(store.path(digest))):
        store.get(digest)
    assert store.put(b"some data") == digest
    assert store.get(digest) == b"some data"


def test_a_blob_that_cannot_be_read_is_unavailable_and_not_corrupt(store):
    digest = store.put(b"data")
    store.path(digest).unlink()
    store.path(digest).mkdir()
    with pytest.raises(Unavailable, match=f"{digest} cannot be read: Is a directory"):
        store.get(digest)


@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
def test_a_write_that_fails_is_unavailable_and_leaves_nothing(store, monkeypatch, call):
    before = store.put(b"before")
    data = next(bytes([n]) for n in range(256) if hashlib.sha256(bytes([n])).hexdigest()[:2] != before[:2])

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    digest = hashlib.sha256(data).hexdigest()
    with pytest.raises(Unavailable, match=f"{digest} cannot be written: No space left on device"):
        store.put(data)
    monkeypatch.undo()
    assert files(store.folder) == [store.path(before)]
    assert store.get(store.put(data)) == data


def test_a_full_disk_is_unavailable_and_leaves_nothing(store, race):
    before = store.put(b"before")

    def put(_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            store.put(bytes(1001))
        except Unavailable as error:
            return str(error)

    [told] = race(put, 1)
    assert told == f"{store.path(hashlib.sha256(bytes(1001)).hexdigest())} cannot be written: File too large"
    assert files(store.folder) == [store.path(before)]


def test_a_store_whose_folder_is_a_file_is_unavailable(tmp_path):
    (tmp_path / "storage").touch()
    with pytest.raises(Unavailable, match=r"storage/blobs/.* cannot be written: "):
        BlobStore(tmp_path / "storage").put(b"data")


def test_many_may_put_the_same_bytes_at_once(store, race):
    data = bytes(100_000)
    assert len(set(race(lambda _: store.put(data), 8))) == 1
    assert [path.read_bytes() for path in files(store.folder)] == [data]


def test_a_put_that_dies_at_any_point_leaves_the_blob_whole_or_absent(store, deaths):
    def visible(acknowledged):
        for path in files(store.folder):
            if not path.name.startswith("."):
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        if acknowledged:
            assert store.get(acknowledged)

    assert deaths(lambda step: store.put(b"data %d" % step), visible) > 4


@pytest.fixture
def steps(monkeypatch):
    """What was flushed and named, in order, by path."""
    seen = []
    flush, replace, mkdir = os.fsync, os.replace, os.mkdir

    def fsync(descriptor):
        seen.append(("flush", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        flush(descriptor)

    def renamed(source, target):
        seen.append(("name", str(source), str(target)))
        replace(source, target)

    def made(path, *arguments):
        mkdir(path, *arguments)
        seen.append(("make", str(path)))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "mkdir", made)
    return seen


def test_a_blob_is_on_the_disk_before_it_has_its_name_and_its_name_before_put_returns(store, steps):
    path = store.path(store.put(b"data"))
    named = next(n for n, step in enumerate(steps) if step[0] == "name")
    _, temporary, target = steps[named]
    assert target == str(path) and ("flush", temporary) in steps[:named]
    assert ("flush", str(path.parent)) in steps[named:]


def test_every_folder_that_is_made_is_flushed_into_the_one_above(store, steps):
    store.put(b"data")
    made = [step[1] for step in steps if step[0] == "make"]
    assert made[:2] == [str(store.folder.parent), str(store.folder)] and len(made) == 3
    for folder in made:
        assert ("flush", str(Path(folder).parent)) in steps[steps.index(("make", folder)) :]


def test_a_name_that_another_process_gave_and_did_not_flush_is_flushed(store, steps):
    path = store.path(store.put(b"data"))
    steps.clear()
    store.put(b"data")
    assert ("flush", str(path.parent)) in steps and ("flush", str(store.folder)) in steps


def test_write_flushed_replaces_a_file_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old and long")
    with path.open("rb") as reader:
        blobs.write_flushed(path, b"new")
        assert reader.read() == b"old and long"  # who had it open reads on
    assert path.read_bytes() == b"new"
    assert files(tmp_path) == [path]


def test_a_file_that_is_written_flushed_is_on_the_disk_with_its_name(tmp_path, steps):
    blobs.write_flushed(tmp_path / "file", b"data")
    [(_, temporary, target)] = [step for step in steps if step[0] == "name"]
    assert target == str(tmp_path / "file")
    assert steps == [("flush", temporary), ("name", temporary, target), ("flush", str(tmp_path))]
