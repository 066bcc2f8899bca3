"""A real server that speaks S3 for the tests: moto's, in a process of its own, which keeps everything in memory."""

import functools
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

SERVE = """
import sys
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), sep=":", flush=True)
sys.stdin.read()  # until the tests end, however they do
"""


@contextmanager
def server() -> Iterator[str]:
    """Starts one on a free port; gives its URL."""
    for module in ("boto3", "moto", "flask"):
        if find_spec(module) is None:
            pytest.skip(f"needs {module}: pip install 'tailorbird[s3,dev]'")
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        address = process.stdout.readline().strip()
        assert address, "moto's server does not start"
        yield f"http://{address}"
        process.stdin.close()


def environment(url: str) -> dict[str, str]:
    """The AWS variables with which this server is reached, and nothing else of this machine is."""
    return {
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this the server that the AWS variables name."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("botocore.session.create_loader", _loader())


@functools.cache
def _loader() -> Any:
    """One description of S3 for all clients, each of which would read its own for 80 ms."""
    from botocore.loaders import create_loader

    return functools.cache(create_loader)


@functools.cache
def client(url: str) -> Any:
    import boto3

    session = boto3.session.Session("testing", "testing", region_name="us-east-1")
    return session.client("s3", endpoint_url=url)


def make_bucket(url: str, name: str) -> str:
    """Makes a bucket; returns `s3://NAME`."""
    client(url).create_bucket(Bucket=name)
    return f"s3://{name}"


@contextmanager
def checked_credentials(url: str) -> Iterator[None]:
    """As long as this lasts the server knows nobody, and refuses all."""
    _after(url, "0")
    try:
        yield
    finally:
        _after(url, "inf")


def _after(url: str, requests: str) -> None:
    kind = {"Content-Type": "application/octet-stream"}
    order = urllib.request.Request(f"{url}/moto-api/reset-auth", requests.encode(), kind)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(order).close()


def watch(step: Callable[[], object]) -> None:
    """Call `step` before and after each request that this process makes from now on."""
    from botocore.httpsession import URLLib3Session

    send = URLLib3Session.send

    def watched(self, request):
        step()
        answer = send(self, request)
        step()
        return answer

    URLLib3Session.send = watched
