import errno
import itertools
import json
import os
import shutil
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry import packages
from registry.storage.opening import open_store
from tailorbird.errors import Corrupt, InvalidInput, NotFound, Unavailable
from tailorbird.package.manifest import Manifest
from tests import stores
from tests.packages import ABOUT
from tests.waiting import BOUND_SECONDS, wait_for


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "storage"))


@pytest.fixture(params=stores.KINDS)
def any_store(request):
    return open_store(stores.storage(request.param, request))


@pytest.fixture
def digest(store, package_files):
    return packages.put(store, package_files(), ABOUT)


def blob(store, digest, name):
    return digest if name == packages.MANIFEST else packages.manifest(store, digest).files[name].sha256


def problems(store, digest):
    try:
        return list(packages.problems(store, packages.manifest(store, digest)))
    except Corrupt as error:
        return [str(error)]


# --- in the store


def test_what_is_put_is_in_the_manifest_and_in_the_store(any_store, package_files):
    files = package_files()
    digest = packages.put(any_store, files, ABOUT)
    manifest = packages.manifest(any_store, digest)
    assert manifest == Manifest(**dict(ABOUT), files=manifest.files)
    assert {name: entry.size for name, entry in manifest.files.items()} == {n: len(d) for n, d in files.items()}
    assert {name: packages.file(any_store, digest, name) for name in files} == files
    assert problems(any_store, digest) == []


def test_equal_packages_have_equal_digests_whatever_their_order(store, package_files):
    files = package_files()
    backwards = dict(reversed(files.items()))
    assert packages.put(store, files, ABOUT) == packages.put(store, backwards, ABOUT)


def test_optional_files_may_be_there(store, package_files):
    digest = packages.put(store, package_files(**{"model.int8.onnx": b"small"}), ABOUT)
    assert packages.file(store, digest, "model.int8.onnx") == b"small"


def test_an_optional_file_that_is_not_there_is_not_found(store, digest):
    with pytest.raises(NotFound, match=r"^model\.int8\.onnx: is not in this package, which has baseline\.json, "):
        packages.file(store, digest, "model.int8.onnx")


@pytest.mark.parametrize("name", sorted(packages.REQUIRED))
def test_a_package_without_a_required_file_is_refused_by_its_name(store, package_files, name):
    files = package_files()
    del files[name]
    with pytest.raises(InvalidInput, match=rf"misses \['{name}'\], has unknown nothing"):
        packages.put(store, files, ABOUT)
    assert not store.folder.exists()


@pytest.mark.parametrize("name", ["model.pkl", "../model.onnx", "/etc/passwd", "manifest.json", ""])
def test_a_package_with_an_unknown_file_is_refused_by_its_name(store, package_files, name):
    with pytest.raises(InvalidInput) as refused:
        packages.put(store, package_files(**{name: b"code"}), ABOUT)
    assert f"misses nothing, has unknown ['{name}']" in str(refused.value)
    assert not store.folder.exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", ["model.onnx", "checkpoint.safetensors", packages.MANIFEST])
@pytest.mark.parametrize("how", ["flipped", "cut", "deleted"])
def test_damage_is_told_by_the_files_name_and_the_file_is_not_given_out(any_store, package_files, name, how):
    digest = packages.put(any_store, package_files(), ABOUT)
    stores.damage(any_store, blob(any_store, digest, name), how)
    [problem] = problems(any_store, digest)
    assert problem.startswith(f"{name}: {any_store.place('')[:5]}")
    with pytest.raises(Corrupt, match=f"^{name}: "):
        packages.file(any_store, digest, "model.onnx" if name == packages.MANIFEST else name)


def test_every_damaged_file_is_told(store, digest):
    files = packages.manifest(store, digest).files
    shared = files["curves.png"]  # the blob of all that nobody looks at
    stores.damage(store, files["model.onnx"].sha256, "flipped")
    stores.damage(store, shared.sha256, "deleted")
    message = [problem.split(":")[0] for problem in problems(store, digest)]
    assert sorted(message) == sorted(["model.onnx", *(name for name in files if files[name] == shared)])
    assert len(message) > 2


def test_a_store_that_is_not_there_is_no_damage(store, digest):
    shutil.rmtree(store.folder)
    with pytest.raises(Unavailable, match="there is no folder"):
        problems(store, digest)


@pytest.mark.parametrize("name", ["model.onnx", "curves.png", packages.MANIFEST])
@pytest.mark.parametrize("how", ["none", "deleted"])
def test_a_package_is_held_where_every_file_is_there(any_store, package_files, name, how):
    digest = packages.put(any_store, package_files(), ABOUT)
    if how == "deleted":
        stores.damage(any_store, blob(any_store, digest, name), how)
    assert packages.held(any_store, digest) == (how == "none")


def test_the_manifest_of_another_package_in_its_place_is_told(any_store, package_files):
    digest = packages.put(any_store, package_files(), ABOUT)
    other = packages.put(any_store, package_files(weights=b"other"), ABOUT)
    stores.overwrite(any_store, digest, any_store.get(other))
    [problem] = problems(any_store, digest)
    assert problem.startswith("manifest.json: ") and "does not match" in problem


def test_a_file_is_verified_without_being_held_whole(store, package_files):
    digest = packages.put(store, package_files(weights=bytes(32 * 2**20)), ABOUT)
    tracemalloc.start()
    assert problems(store, digest) == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * 2**20


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"poem", b"[]", b"3", b"{}", b'{"files": []}', b'{"files": {"../../evil": {"sha256": ""}}}',
     b'{"files": {"..": {"sha256": "ab"}}}', b'{"files": {"": {"sha256": "ab"}}}', b'{"files": {"model.onnx": {}}}',
     b'{"files": {"model.onnx": {"sha256": "/etc/passwd"}}}', b'{"files": {"model.onnx": {"sha256": null}}}'],
)  # fmt: skip
def test_a_blob_that_is_no_manifest_is_corrupt_where_one_is_named(store, content, tmp_path):
    digest = store.put(content)
    [problem] = problems(store, digest)
    assert problem.startswith("manifest.json: ")
    with pytest.raises(Corrupt):
        packages.write(store, digest, tmp_path / "out" / "package")
    assert not (tmp_path / "out").exists()


# --- as a folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_holds_the_files_and_the_manifest_and_reads_back(any_store, package_files, tmp_path):
    files = package_files()
    digest = packages.put(any_store, files, ABOUT)
    folder = packages.write(any_store, digest, tmp_path / "deep" / "er" / "package")
    assert contents(folder) == {**files, packages.MANIFEST: any_store.get(digest)}
    assert packages.read(folder, digest) == packages.manifest(any_store, digest)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in folder.parent.iterdir()] == ["package"]


def test_a_package_is_written_and_read_without_being_held_whole(store, package_files, tmp_path):
    digest = packages.put(store, package_files(weights=bytes(32 * 2**20)), ABOUT)
    tracemalloc.start()
    packages.read(packages.write(store, digest, tmp_path / "package"), digest)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * 2**20


def test_a_folder_is_on_the_disk_with_all_that_is_in_it_before_it_has_its_name(store, digest, tmp_path, steps):
    folder = packages.write(store, digest, tmp_path / "package")
    [named] = [n for n, step in enumerate(steps) if step[0] == "name" and step[2] == str(folder)]
    hidden = steps[named][1]
    written = [step[1] for step in steps[:named] if step[0] == "flush" and step[1].startswith(hidden)]
    assert {Path(path).name for path in written[:-1]} == {path.name for path in folder.iterdir()}
    assert written[-2:] == [f"{hidden}/{packages.MANIFEST}", hidden]
    assert steps[named + 1 :] == [("flush", str(tmp_path))]


def test_a_folder_that_is_there_is_not_touched(store, digest, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "mine").write_text("mine")
    with pytest.raises(Unavailable, match="package cannot be written: Directory not empty"):
        packages.write(store, digest, tmp_path / "package")
    assert contents(tmp_path / "package") == {"mine": b"mine"}


def test_a_write_that_dies_at_any_point_leaves_the_folder_whole_or_absent(store, digest, tmp_path, deaths):
    folder = tmp_path / "out" / "package"

    def whole_or_absent(acknowledged):
        if acknowledged or folder.exists():
            packages.read(folder, digest)
        shutil.rmtree(folder.parent, ignore_errors=True)

    died = deaths(lambda _: packages.write(store, digest, folder), whole_or_absent)
    assert died > 2 * len(packages.REQUIRED)


def test_a_full_disk_leaves_no_folder(store, digest, tmp_path, monkeypatch):
    calls = itertools.count(1)
    fsync = os.fsync

    def full(descriptor):
        if next(calls) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match=r"/package cannot be written: No space left on device"):
        packages.write(store, digest, tmp_path / "out" / "package")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("how", stores.HOW)
def test_a_damaged_package_is_not_written_at_all(store, digest, tmp_path, how):
    stores.damage(store, blob(store, digest, "model.onnx"), how)
    with pytest.raises(Corrupt, match=r"^model\.onnx: "):
        packages.write(store, digest, tmp_path / "out" / "package")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["model.onnx", "curves.json", packages.MANIFEST])
@pytest.mark.parametrize("how", ["flipped", "cut", "deleted"])
def test_a_damaged_folder_is_refused_by_its_file(store, digest, flip, tmp_path, name, how):
    folder = packages.write(store, digest, tmp_path / "package")
    {"flipped": flip, "cut": cut, "deleted": os.unlink}[how](folder / name)
    with pytest.raises(Corrupt, match=str(folder / name)):
        packages.read(folder, digest)


@pytest.mark.parametrize("name", ["extra.py", ".hidden", "model.int8.onnx"])
def test_a_folder_with_a_file_more_is_refused_by_it_and_mended_in_a_cache(store, digest, tmp_path, name):
    folder = packages.fetch(store, digest, tmp_path)
    (folder / name).write_bytes(b"more")
    with pytest.raises(Corrupt, match=f"^{folder / name} is not in the manifest of its package$"):
        packages.read(folder, digest)
    assert not (packages.fetch(store, digest, tmp_path) / name).exists()


def test_a_whole_folder_of_another_package_is_refused(store, digest, package_files, tmp_path):
    other = packages.put(store, package_files(weights=b"other"), ABOUT)
    folder = packages.write(store, other, tmp_path / "package")
    with pytest.raises(Corrupt, match=r"manifest\.json is not the manifest that the registry names"):
        packages.read(folder, digest)


# --- in a cache


def test_fetch_writes_once_and_then_needs_no_store(any_store, package_files, tmp_path):
    digest = packages.put(any_store, package_files(), ABOUT)
    folder = packages.fetch(any_store, digest, tmp_path / "cache")
    assert folder == tmp_path / "cache" / "packages" / digest
    before = folder.stat().st_ino
    any_store.delete([blob.digest for blob in any_store.listing()])
    assert packages.fetch(any_store, digest, tmp_path / "cache").stat().st_ino == before


@pytest.mark.parametrize("name", ["model.onnx", packages.MANIFEST])
@pytest.mark.parametrize("how", ["flipped", "cut", "deleted"])
def test_fetch_mends_what_is_damaged(store, digest, flip, tmp_path, name, how):
    folder = packages.fetch(store, digest, tmp_path / "cache")
    {"flipped": flip, "cut": cut, "deleted": os.unlink}[how](folder / name)
    packages.read(packages.fetch(store, digest, tmp_path / "cache"), digest)
    assert [path.name for path in folder.parent.iterdir()] == [digest]


def test_fetch_of_a_damaged_package_leaves_no_folder(store, digest, tmp_path):
    stores.damage(store, blob(store, digest, "model.onnx"), "flipped")
    with pytest.raises(Corrupt, match=r"^model\.onnx: "):
        packages.fetch(store, digest, tmp_path / "cache")
    assert list((tmp_path / "cache" / "packages").iterdir()) == []


def test_what_lies_in_the_cache_stays_where_no_better_is_to_be_had(store, digest, tmp_path):
    folder = packages.fetch(store, digest, tmp_path / "cache")
    cut(folder / "curves.png")
    before = contents(folder)
    store.path(digest).unlink()
    with pytest.raises(Corrupt):
        packages.fetch(store, digest, tmp_path / "cache")
    assert contents(folder) == before


def test_a_cache_that_cannot_be_made_is_unavailable(store, digest, tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(Unavailable, match=r"cache/packages cannot be written: "):
        packages.fetch(store, digest, tmp_path / "cache")


def test_a_fetch_that_dies_at_any_point_is_made_good_by_the_next(store, digest, tmp_path, deaths):
    cache = tmp_path / "cache"

    def made_good(_):
        packages.read(packages.fetch(store, digest, cache), digest)
        assert [path.name for path in (cache / "packages").iterdir()] == [digest]
        shutil.rmtree(cache)

    assert deaths(lambda _: packages.fetch(store, digest, cache), made_good) > 2 * len(packages.REQUIRED)


def test_many_that_fetch_at_once_take_nothing_from_each_other(store, digest, tmp_path, race):
    """A reader that has its folder keeps it: nobody who came later removes it or puts another in its place."""
    cache = tmp_path / "cache"

    def fetch(_):
        folder = packages.fetch(store, digest, cache)
        inode = folder.stat().st_ino
        for _ in range(50):
            packages.read(folder, digest)
            assert folder.stat().st_ino == inode
        return inode

    for damage in (shutil.rmtree, lambda folder: cut(folder / "model.onnx")):
        if (cache / "packages" / digest).exists():
            damage(cache / "packages" / digest)
        came = race(fetch, 6)
        assert len(set(came)) == 1 and isinstance(came[0], int), came
    assert [path.name for path in (cache / "packages").iterdir()] == [digest]
    assert json.loads((cache / "packages" / digest / packages.MANIFEST).read_bytes())["model"] == "fashion"


def test_a_store_that_hangs_does_not_keep_others_from_the_cache(store, digest, package_files, tmp_path):
    others = [packages.put(store, package_files(weights=b"%d" % number), ABOUT) for number in range(packages.SPARED)]
    path = store.path(blob(store, digest, "model.onnx"))
    whole = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    with ThreadPoolExecutor() as threads:
        hanging = threads.submit(packages.fetch, store, digest, tmp_path)
        [hidden] = wait_for(lambda: list((tmp_path / packages.CACHED).glob(f".{digest}-*")))
        try:
            for other in others:
                threads.submit(packages.fetch, store, other, tmp_path).result(BOUND_SECONDS)
            os.utime(hidden, (0, 0))
            threads.submit(packages.discard, tmp_path, ()).result(BOUND_SECONDS)
            assert hidden.exists() and not hanging.done()
        finally:
            path.write_bytes(whole)
    packages.read(hanging.result(), digest)


def test_of_a_cache_that_is_tidied_what_is_needed_and_what_was_used_last_stays(store, package_files, tmp_path):
    digests = [packages.put(store, package_files(weights=b"%d" % number), ABOUT) for number in range(8)]
    for used, digest in enumerate((*digests, digests[1])):
        os.utime(packages.fetch(store, digest, tmp_path), (used, used))
    left = tmp_path / packages.CACHED / f".{digests[0]}-left-by-a-process-that-died"
    left.mkdir()
    os.utime(left, (0, 0))
    packages.discard(tmp_path, {digests[2]})
    kept = {path.name for path in (tmp_path / packages.CACHED).iterdir()}
    assert kept == {digests[1], digests[2], *digests[4:]}
    assert packages.read(packages.fetch(store, digests[0], tmp_path), digests[0])
