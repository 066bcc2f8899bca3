import errno
import hashlib
import itertools
import os
import resource
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry.storage.blobs import Leftover
from registry.storage.folder import FolderStore
from tailorbird.errors import Corrupt, Unavailable

NOBODY = 65534


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "storage")


@pytest.fixture
def public():
    """A folder that other users can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def in_another_folder(digest):
    contents = (b"%d" % n for n in itertools.count())
    return next(data for data in contents if hashlib.sha256(data).hexdigest()[:2] != digest[:2])


def test_a_blob_lies_under_its_digest_where_everybody_may_read_it(store):
    digest = store.put(b"data")
    assert store.path(digest) == store.folder / digest[:2] / digest
    assert store.place(digest) == str(store.path(digest))
    assert store.path(digest).read_bytes() == b"data"
    assert store.path(digest).stat().st_mode & 0o777 == 0o644


def test_the_same_bytes_are_written_once(store):
    path = store.path(store.put(b"data"))
    before = path.stat().st_ino
    os.utime(path, (0, 0))
    assert store.put_all([b"data", b"data"]) == [path.name] * 2
    assert path.stat().st_ino == before
    assert path.stat().st_mtime > 0
    assert files(store.folder) == [path]


def test_what_is_not_a_blob_is_not_listed(store):
    digest = store.put(b"data")
    for name in ("README", digest[:-1], digest.upper(), ".hidden", digest + "0"):
        (store.folder / digest[:2] / name).touch()
    (store.folder / "file").touch()
    assert [blob.digest for blob in store.listing()] == [digest]


# --- what cannot be read


def test_a_blob_that_cannot_be_read_is_unavailable_and_not_corrupt(store):
    digest = store.put(b"data")
    store.path(digest).unlink()
    store.path(digest).mkdir()
    for look in (store.get, store.verify):
        with pytest.raises(Unavailable, match=f"^{store.path(digest)} cannot be read: Is a directory$"):
            look(digest)


def test_a_store_that_vanished_has_lost_nothing(store):
    digest = store.put(b"data")
    shutil.move(store.folder, store.folder.with_name("away"))
    with pytest.raises(Unavailable, match=rf"{digest} cannot be read: there is no folder {store.folder}$"):
        store.get(digest)
    shutil.move(store.folder.with_name("away"), store.folder)
    store.path(digest).unlink()
    with pytest.raises(Corrupt, match=rf"{digest} is missing$"):
        store.get(digest)


def as_nobody(act):
    def run(_):
        if os.getuid() == 0:
            os.setuid(NOBODY)
        try:
            return act()
        except Unavailable as error:
            return str(error)

    return run


@pytest.mark.parametrize("use", ["listing", "leftovers", "holds", "get"])
def test_a_store_that_may_not_be_read_is_unavailable(public, race, use):
    store = FolderStore(public)
    digest = store.put(b"data")
    store.folder.chmod(0)
    act = {
        "listing": lambda: [*store.listing()],
        "leftovers": lambda: [*store.leftovers()],
        "holds": lambda: store.holds(digest),
        "get": lambda: store.get(digest),
    }[use]
    place = store.path(digest) if use == "get" else store.folder
    try:
        assert race(as_nobody(act), 1) == [f"{place} cannot be read: Permission denied"]
    finally:
        store.folder.chmod(0o755)


# --- what cannot be written


def test_a_read_only_store_can_be_read_and_says_so(public, race):
    store = FolderStore(public)
    digest = store.put(b"data")
    for folder in (store.folder, *store.folder.iterdir()):
        folder.chmod(0o555)
    other = in_another_folder(digest)
    path = store.path(hashlib.sha256(other).hexdigest())

    def use():
        again = FolderStore(public)
        messages = []
        for act in (lambda: again.put(other), lambda: again.put(b"data"), lambda: again.delete([digest])):
            with pytest.raises(Unavailable) as refused:
                act()
            messages.append(str(refused.value))
        return again.read_only, again.get(digest), [blob.digest for blob in again.listing()], messages

    try:
        assert race(as_nobody(use), 1) == [
            (
                True,
                b"data",
                [digest],
                [
                    f"{path} cannot be written: Permission denied",
                    f"{store.path(digest)} cannot be written: Permission denied",
                    f"{store.path(digest)} cannot be removed: Permission denied",
                ],
            )
        ]
        assert not FolderStore(public / "new").read_only or os.getuid() != 0
    finally:
        for folder in (store.folder, *store.folder.iterdir()):
            folder.chmod(0o755)


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_what_another_user_put_can_be_put_again(public, race):
    store = FolderStore(public)
    digest = store.put(b"data")
    os.utime(store.path(digest), (0, 0))
    for folder in (store.folder, *store.folder.iterdir()):
        folder.chmod(0o777)
    assert race(as_nobody(lambda: store.put(b"data")), 1) == [digest]
    assert store.path(digest).stat().st_mtime > 0
    assert store.get(digest) == b"data"
    assert files(store.folder) == [store.path(digest)]


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "mkdir", "open", "utime", "fchmod", "close"])
def test_a_full_disk_at_any_step_names_the_path_and_leaves_what_was_there(tmp_path, monkeypatch, call):
    """Each call of each kind fails once, for all of them."""
    real = getattr(os, call)
    for fatal in itertools.count(1):
        store = FolderStore(tmp_path / str(fatal))
        before = store.put(b"before")
        calls = itertools.count(1)

        def fail(*arguments, calls=calls, fatal=fatal, **named):
            if next(calls) == fatal:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **named)

        monkeypatch.setattr(os, call, fail)
        try:
            put = store.put_all([b"one", b"two", b"before"])
        except Unavailable as error:
            assert str(error).startswith(str(store.folder.parent))
            assert str(error).endswith(" cannot be written: No space left on device")
        else:
            assert fatal > 1
            assert [store.get(digest) for digest in put] == [b"one", b"two", b"before"]
            return
        finally:
            monkeypatch.undo()
        assert list(store.leftovers()) == []
        for blob in store.listing():
            store.verify(blob.digest)
        assert store.get(before) == b"before"
        assert [store.get(digest) for digest in store.put_all([b"one", b"two"])] == [b"one", b"two"]


def test_a_file_that_grows_too_large_is_named_and_nothing_is_left(store, race):
    before = store.put(b"before")

    def put(_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            store.put_all([b"small", bytes(1001)])
        except Unavailable as error:
            return str(error)

    [message] = race(put, 1)
    assert message == f"{store.path(hashlib.sha256(bytes(1001)).hexdigest())} cannot be written: File too large"
    assert files(store.folder) == [store.path(before)]


def test_a_store_whose_folder_is_a_file_is_unavailable(tmp_path):
    (tmp_path / "storage").touch()
    with pytest.raises(Unavailable, match=r"storage/blobs/.* cannot be written: "):
        FolderStore(tmp_path / "storage").put(b"data")


# --- what killed writers leave


def test_a_put_that_dies_at_any_point_leaves_each_blob_whole_or_absent(store, deaths):
    def whole(acknowledged):
        for blob in store.listing():
            store.verify(blob.digest)
        assert all(store.get(digest) for digest in acknowledged or ())

    assert deaths(lambda step: store.put_all([b"%d %d" % (step, n) for n in range(3)]), whole) > 12


def test_what_killed_writers_left_is_found_and_removed(store, deaths):
    contents = [b"x" * 10, b"y" * 20]
    left = []

    def look(acknowledged):
        left.extend(store.leftovers())
        if acknowledged:
            kept = [blob.digest for blob in store.listing()]
            store.discard(left)
            store.discard(left)  # another collection may have been first
            assert list(store.leftovers()) == []
            assert sorted(acknowledged) == kept == [blob.digest for blob in store.listing()]

    deaths(lambda _: store.put_all(contents), look)
    assert {10, 20} <= {one.size for one in left} <= {0, 10, 20}
    now = datetime.now(UTC)
    for one in left:
        assert isinstance(one, Leftover) and Path(one.place).name.startswith(".")
        assert now - timedelta(minutes=1) < one.modified <= now


# --- the order of steps, on which a power cut depends


def test_blobs_are_on_the_disk_before_they_have_names_and_names_before_put_returns(store, steps):
    paths = [store.path(digest) for digest in store.put_all([b"one", b"two", b"three"])]
    for path in paths:
        [(named, temporary)] = [
            (n, step[1]) for n, step in enumerate(steps) if step[0] == "name" and step[2] == str(path)
        ]
        assert ("flush", temporary) in steps[:named]
        assert ("flush", str(path.parent)) in steps[named:]
        assert ("flush", str(store.folder)) in steps[named:]


def test_each_folder_is_flushed_once_after_all_that_is_in_it(store, steps):
    contents = [b"%d" % n for n in range(100)]
    store.put_all(contents)
    steps.clear()
    paths = [store.path(digest) for digest in store.put_all([data + b"!" for data in contents])]
    last = max(n for n, step in enumerate(steps) if step[0] == "name")
    folders = sorted({str(path.parent) for path in paths} | {str(store.folder)})
    assert 2 < len(folders) < len(paths)
    assert sorted(step[1] for step in steps[last + 1 :]) == folders
    assert {step[0] for step in steps[last + 1 :]} == {"flush"}


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
    assert sorted(steps) == sorted([("flush", str(path.parent)), ("flush", str(store.folder))])
