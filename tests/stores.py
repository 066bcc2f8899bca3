"""The stores that tests run on, and what they do to a blob behind a store's back."""

import secrets
from pathlib import Path

import pytest

from registry.storage.blobs import BlobStore
from registry.storage.folder import FolderStore
from tests import s3

KINDS = ("folder", "s3")


def storage(kind: str, request: pytest.FixtureRequest) -> str:
    """The folder or URL of a new store; for one in S3, the AWS variables are those of the tests' server."""
    if kind == "folder":
        return str(request.getfixturevalue("tmp_path") / "storage")
    url = request.getfixturevalue("s3")
    s3.use(url, request.getfixturevalue("monkeypatch"))
    return s3.make_bucket(url, f"test-{secrets.token_hex(6)}") + "/some/prefix"


def overwrite(store: BlobStore, digest: str, data: bytes | None) -> None:
    """Put other bytes where a blob is, or nothing."""
    if isinstance(store, FolderStore):
        path = Path(store.place(digest))
        path.unlink() if data is None else path.write_bytes(data)
    elif data is None:
        store._client().delete_object(Bucket=store.bucket, Key=store.key(digest))
    else:
        store._client().put_object(Bucket=store.bucket, Key=store.key(digest), Body=data)


def damage(store: BlobStore, digest: str, how: str) -> None:
    """One of HOW."""
    data = store.get(digest)
    middle = len(data) // 2
    changed = {
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "cut": data[:-1],
        "emptied": b"",
        "lengthened": data + b"\n",
        "deleted": None,
    }
    overwrite(store, digest, changed[how])


HOW = ("flipped", "cut", "emptied", "lengthened", "deleted")
