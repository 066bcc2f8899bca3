"""Opening the store that a URL names."""

from pathlib import Path

from registry.storage.blobs import BlobStore
from registry.storage.folder import FolderStore
from tailorbird.settings import S3


def open_store(storage: str) -> BlobStore:
    """The store in a folder, or at `s3://BUCKET/PREFIX`; nothing is created or connected before its first use."""
    if storage.startswith(S3):
        from registry.storage.s3 import S3Store

        return S3Store(storage)
    return FolderStore(Path(storage))
