import hashlib
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from registry.storage import blobs
from registry.storage.blobs import Blob
from registry.storage.opening import open_store
from tailorbird.errors import Corrupt
from tests import stores
from tests.waiting import wait_for

NOBODYS = hashlib.sha256(b"never stored").hexdigest()


@pytest.fixture(params=stores.KINDS)
def store(request):
    return open_store(stores.storage(request.param, request))


def digests(store):
    return [blob.digest for blob in store.listing()]


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(st.lists(st.binary(max_size=100), max_size=5))
def test_what_is_put_is_got_under_its_sum(store, contents):
    for data in contents:
        digest = store.put(data)
        assert digest == hashlib.sha256(data).hexdigest()
        assert store.get(digest) == data
        assert store.holds(digest)
        assert digest in store.place(digest)


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(st.sampled_from([b"", b"a", b"b", b"c" * 1000]), max_size=6))
def test_many_are_put_as_one_by_one(store, contents):
    assert store.put_all(contents) == [hashlib.sha256(data).hexdigest() for data in contents]
    assert [store.get(hashlib.sha256(data).hexdigest()) for data in contents] == contents


def test_a_listing_has_every_blob_once_with_its_size_and_when_it_was_put(store):
    before = datetime.now(UTC) - timedelta(seconds=1)  # S3 counts in whole seconds
    contents = {hashlib.sha256(bytes(n)).hexdigest(): n for n in range(40)}
    store.put_all([bytes(n) for n in range(40)] * 2)
    names = list(store.listing())
    assert [(blob.digest, blob.size) for blob in names] == sorted(contents.items())
    assert all(before <= blob.modified <= datetime.now(UTC) for blob in names)


def test_a_new_store_is_empty_and_holds_nothing(store):
    assert digests(store) == [] == list(store.leftovers())
    assert not store.holds(NOBODYS)
    store.delete([NOBODYS])


def test_holds_asks_for_every_one(store):
    one, two = store.put_all([b"one", b"two"])
    assert store.holds(one, two)
    assert store.holds()
    assert not store.holds(one, NOBODYS, two)


def test_what_is_deleted_is_gone_and_nothing_else(store):
    kept, *gone = store.put_all([b"%d" % n for n in range(5)])
    store.delete([*gone, NOBODYS])
    assert digests(store) == [kept]
    with pytest.raises(Corrupt, match=rf"^{store.place(gone[0])} is missing$"):
        store.get(gone[0])


def test_what_is_put_again_is_young_again(store):
    digest = store.put(b"data")
    [first] = store.listing()

    def is_younger():  # soon: S3 counts in whole seconds
        assert store.put(b"data") == digest
        [second] = store.listing()
        assert second == Blob(digest, 4, second.modified)
        return second.modified > first.modified

    wait_for(is_younger)


def test_what_is_deleted_can_be_put_again(store):
    digest = store.put(b"data")
    store.delete([digest])
    assert store.put(b"data") == digest
    assert store.get(digest) == b"data"


@pytest.mark.parametrize("how", stores.HOW)
def test_a_damaged_blob_is_refused_by_name_and_mended_by_putting_it_again(store, how):
    digest = store.put(b"some data")
    stores.damage(store, digest, how)
    for look in (store.get, store.verify, lambda digest: list(store.chunks(digest))):
        with pytest.raises(Corrupt) as caught:
            look(digest)
        problem = "is missing" if how == "deleted" else "does not match its SHA-256 sum"
        assert str(caught.value) == f"{store.place(digest)} {problem}"
    assert store.holds(digest) == (how != "deleted")
    assert store.put(b"some data") == digest
    store.verify(digest)
    assert store.get(digest) == b"some data"


def test_one_damaged_blob_among_many_is_mended(store):
    contents = [b"%d" % n for n in range(4)]
    damaged = store.put_all(contents)[2]
    stores.damage(store, damaged, "flipped")
    for digest in store.put_all(contents):
        store.verify(digest)


def test_a_blob_is_verified_piece_by_piece(store):
    data = bytes(range(256)) * 4 * 4096 * 8 + b"end"  # 32 MiB and an end
    digest = store.put(data)
    tracemalloc.start()
    store.verify(digest)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < len(data) / 4
    pieces = list(store.chunks(digest))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= blobs.CHUNK


def test_many_may_put_the_same_bytes_at_once(store, race):
    data = bytes(100_000)
    assert race(lambda _: store.put(data), 4) == [hashlib.sha256(data).hexdigest()] * 4
    assert [store.get(digest) for digest in digests(store)] == [data]
    assert list(store.leftovers()) == []


@pytest.mark.parametrize("storage", ["folder", "s3://bucket/prefix"])
def test_a_store_is_opened_without_making_or_asking_anything(storage, tmp_path):
    code = (
        "import sys; from registry.storage.opening import open_store; open_store(sys.argv[1]); "
        "assert not {'boto3', 'botocore', 'concurrent.futures.process'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, str(storage)], check=True)
    assert list(tmp_path.iterdir()) == []
