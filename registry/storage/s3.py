"""Blobs in a bucket of S3, or of a compatible server."""

import base64
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from registry.storage.blobs import CHUNK, Blob, BlobStore, Leftover
from tailorbird.errors import Corrupt, Unavailable
from tailorbird.settings import PREFIX, S3

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

T = TypeVar("T")
R = TypeVar("R")

THREADS = 8
BATCH = 1000  # as many as one request may delete
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 4, 30, 3  # a dead endpoint is reported after at most 15 seconds
_KEY = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})", re.ASCII)


class S3Store(BlobStore):
    """Blobs as `PREFIX/blobs/ab/abcdef…`, reached with the usual AWS variables.

    Objects appear atomically, and the server verifies the SHA-256 that is sent along. So blobs are put unconditionally,
    which renews their time and repairs damaged ones.
    """

    def __init__(self, url: str) -> None:
        self.bucket, _, prefix = url.removeprefix(S3).partition("/")
        self.prefix = f"{prefix}/blobs/" if prefix else "blobs/"
        self._made: tuple[int, S3Client] | None = None

    def key(self, digest: str) -> str:
        return f"{self.prefix}{digest[:2]}/{digest}"

    def place(self, digest: str) -> str:
        return f"{S3}{self.bucket}/{self.key(digest)}"

    def write(self, blobs: Mapping[str, bytes]) -> None:
        self._at_once(self._put, blobs.items())

    def holds(self, *digests: str) -> bool:
        return all(self._at_once(self._holds, digests))

    def listing(self) -> Iterator[Blob]:
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        with self._as_unavailable(f"{S3}{self.bucket}/{self.prefix}", "listed"):
            for page in pages:
                for item in page.get("Contents", ()):
                    if match := _KEY.fullmatch(item["Key"].removeprefix(self.prefix)):
                        yield Blob(match[1], item["Size"], item["LastModified"])

    def delete(self, digests: Iterable[str]) -> None:
        client, remaining = self._client(), iter(digests)
        while batch := list(islice(remaining, BATCH)):
            objects: list[ObjectIdentifierTypeDef] = [{"Key": self.key(digest)} for digest in batch]
            with self._as_unavailable(self.place(batch[0]), "removed"):
                answer = client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise Unavailable(f"{S3}{self.bucket}/{error['Key']} cannot be removed: {error['Code']}")

    def leftovers(self) -> Iterator[Leftover]:
        return iter(())  # an aborted upload leaves nothing

    def discard(self, leftovers: Iterable[Leftover]) -> None:
        pass

    def _read(self, digest: str) -> Iterator[bytes]:
        client, address = self._client(), self.place(digest)
        with self._as_unavailable(address, "read"):
            try:
                answer = client.get_object(Bucket=self.bucket, Key=self.key(digest))
            except client.exceptions.NoSuchKey:
                raise Corrupt(f"{address} is missing") from None
            yield from answer["Body"].iter_chunks(CHUNK)

    def _put(self, blob: tuple[str, bytes]) -> None:
        digest, data = blob
        checksum = base64.b64encode(bytes.fromhex(digest)).decode()
        with self._as_unavailable(self.place(digest), "written"):
            self._client().put_object(Bucket=self.bucket, Key=self.key(digest), Body=data, ChecksumSHA256=checksum)

    def _holds(self, digest: str) -> bool:
        client = self._client()
        with self._as_unavailable(self.place(digest), "read"):
            try:
                client.head_object(Bucket=self.bucket, Key=self.key(digest))
            except client.exceptions.ClientError as error:
                if _status(error) != HTTPStatus.NOT_FOUND:
                    raise
                client.head_bucket(Bucket=self.bucket)  # where that is missing, the answer was the same
                return False
        return True

    def _at_once(self, do: Callable[[T], R], items: Iterable[T]) -> list[R]:
        self._client()  # created here, not by each thread
        with ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(do, items))

    def _client(self) -> "S3Client":
        if self._made is None or self._made[0] != os.getpid():  # processes must not share connections
            self._made = os.getpid(), self._connect()
        return self._made[1]

    def _connect(self) -> "S3Client":
        bucket = f"{S3}{self.bucket}"
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            raise Unavailable(
                f"{bucket} requires boto3, which is not installed: pip install 'tailorbird[s3]'"
            ) from None
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=THREADS,
            response_checksum_validation="when_required",  # `chunks` verifies the digest
        )
        with self._as_unavailable(bucket, "reached"):
            region = os.environ.get("AWS_REGION") or None  # boto3 reads only AWS_DEFAULT_REGION
            return boto3.session.Session().client("s3", region_name=region, config=config)

    @contextmanager
    def _as_unavailable(self, address: str, done: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            problem = self._refusal(error)
        except (BotoCoreError, ValueError) as error:
            problem = self._failure(error)
        else:
            return
        raise Unavailable(f"{address} cannot be {done}: {problem}")

    def _refusal(self, error: "ClientError") -> str:
        """The server's error, without text that might contain credentials."""
        code = error.response["Error"].get("Code", "")
        if code == "NoSuchBucket" or _status(error) == HTTPStatus.NOT_FOUND:
            return f"there is no bucket {self.bucket!r}; create it, or set {PREFIX}STORAGE_URL to another one"
        if code == "ExpiredToken" or _status(error) in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return f"the AWS credentials are wrong or do not allow it ({code})"
        return f"{code}: {error.response['Error'].get('Message', '')}"

    def _failure(self, error: Exception) -> str:
        """Why there was no response. URLs are left out, since they may contain a password."""
        from botocore import exceptions

        variable = "AWS_ENDPOINT_URL_S3" if os.environ.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
        no_url = f"{variable}, or endpoint_url in the AWS config file, must be a URL as https://HOST:PORT"
        match error:
            case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError():
                return "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            case exceptions.ConnectionError() | exceptions.HTTPClientError() | exceptions.IncompleteReadError():
                endpoint = urlsplit(self._client().meta.endpoint_url)
                where = f"{endpoint.hostname}:{endpoint.port}" if endpoint.port else endpoint.hostname
                return f"the connection to {where} fails ({type(error).__name__}); {variable} names the server"
            case exceptions.EndpointProviderError():
                return no_url
            case exceptions.BotoCoreError() if not isinstance(error, exceptions.CredentialRetrievalError):
                return " ".join(str(error).split())
            case ValueError():
                return no_url
        return f"{type(error).__name__}; check the AWS_… variables"


def _status(error: "ClientError") -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
