"""The endpoint of a drill: its client, and a server with a home of its own, which isolates false labels.

With a URL, a running endpoint is used instead, which gets no labels.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from registry import aliases, history, versions
from registry.core import Registry
from registry.exchange import carrying
from registry.names import CHAMPION, Reference
from registry.requests import Promotion
from registry.version import Version
from tailorbird.errors import InvalidInput, Unavailable
from tailorbird.settings import PREFIX, Settings

START_SECONDS = 60
WHO = "tailorbird drill"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine


class Endpoint:
    """A running endpoint at `url`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token

    def predict(self, inputs: bytes) -> tuple[int, list[dict[str, Any]]]:
        """The version that answered, and its predictions."""
        answer = self._ask("/predict", inputs, "application/octet-stream")
        return answer["version"], answer["predictions"]

    def label(self, labels: Sequence[tuple[str, str]]) -> None:
        """Send pairs of receipt and class."""
        named = [{"receipt": receipt, "label": name} for receipt, name in labels]
        if named:
            self._ask("/feedback", json.dumps({"labels": named}).encode(), "application/json")

    def version(self) -> int:
        """The served version."""
        number: int = self._ask("/readyz")["version"]
        return number

    def check(self, champion: Version) -> None:
        """Raise InvalidInput if this is not an endpoint, or serves another version."""
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput("--url", f"must be a URL as http://127.0.0.1:3000, not {self.url!r}")
        served = self._ask("/model")
        if not isinstance(served, dict) or not {"model", "version", "manifest"} <= served.keys():
            raise Unavailable(f"{self.url} did not answer like a Tailorbird endpoint")
        if (served["model"], served["version"]) != (champion.model, champion.number):
            raise InvalidInput("--url", f"serves {served['model']}:{served['version']}, and the champion is {champion}")
        if served["manifest"] != champion.manifest:
            raise InvalidInput("--url", f"serves a different {champion} than the registry of the settings")

    def wait(self, version: int) -> None:
        """Wait until a version is served; raises Unavailable after a while."""
        end = time.monotonic() + START_SECONDS
        while self.version() != version:
            if time.monotonic() > end:
                raise Unavailable(f"{self.url} does not serve version {version} within {START_SECONDS} s")
            time.sleep(0.1)

    def _ask(self, path: str, body: bytes | None = None, media_type: str = "application/json") -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(  # noqa: S310
            self.url + path, body, headers | {"Content-Type": media_type}
        )
        try:
            with DIRECT.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Unavailable(f"{self.url}{path} answered {error.code}: {error.read()[:300]!r}") from None
        except (OSError, HTTPException) as error:
            raise Unavailable(f"{self.url}{path} does not answer: {getattr(error, 'reason', error)}") from None
        except ValueError:
            raise Unavailable(f"{self.url} did not answer like a Tailorbird endpoint") from None


@contextmanager
def own(here: Settings, model: str) -> Iterator[tuple[Endpoint, Registry]]:
    """An endpoint for the drill, with its own registry: a copy of the champion and of the version before it."""
    with tempfile.TemporaryDirectory(prefix="tailorbird-drill-") as folder:
        home = copy(here, model, Path(folder))
        with serving(home, model) as endpoint, Registry(home) as registry:
            yield endpoint, registry


@contextmanager
def running(here: Settings, model: str, url: str) -> Iterator[tuple[Endpoint, Registry]]:
    """The endpoint at a URL, with the registry of the settings; raises InvalidInput if it serves another version."""
    endpoint = Endpoint(url, here.api_token.get_secret_value() if here.api_token else None)
    with Registry(here) as registry:
        endpoint.check(versions.resolve(registry, Reference(model)))
        yield endpoint, registry


def copy(here: Settings, model: str, home: Path) -> Settings:
    """A home with the champion of a model as version 2, and the version it could be rolled back to as version 1.

    Without such a version, the champion is both.
    """
    own = _own(home)
    with Registry(here) as registry, Registry(own) as other:
        champion = versions.resolve(registry, Reference(model))
        for number, version in enumerate((_before(registry, champion), champion), 1):
            folder = carrying.export(registry, version, home / f"version-{number}")
            imported = carrying.import_version(other, folder, WHO, model)
            asked = Promotion(model, imported.number, why="a drill", who=WHO, force=True)
            aliases.promote(other, asked)
    return own


def _own(home: Path) -> Settings:
    """Settings of a home, independent of the environment's, whose database and webhooks are in use."""
    defaults = {name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()}
    return Settings(_env_file=None, **{**defaults, "home": home, "watch": 0.5})


def _before(registry: Registry, champion: Version) -> Version:
    with registry.reading() as connection:
        number = next(history.earlier(connection, champion.model, CHAMPION), champion.number)
    return versions.resolve(registry, Reference(champion.model, number=number))


@contextmanager
def serving(own: Settings, model: str) -> Iterator[Endpoint]:
    """A server of the drill's home, in a process of its own, stopped as Kubernetes would stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tailorbird", "serve", model, "--host", "127.0.0.1", "--port", str(port)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    ours = {"HOME": str(own.home), "WATCH": str(own.watch), "DRAIN_SECONDS": "0"}
    environment = clean | {f"{PREFIX}{name}": value for name, value in ours.items()}
    server = subprocess.Popen(
        command, cwd=own.home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    endpoint = Endpoint(f"http://127.0.0.1:{port}")
    try:
        _wait(server, endpoint)
        yield endpoint
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=START_SECONDS)


def _wait(server: subprocess.Popen[str], endpoint: Endpoint) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise Unavailable(f"the server did not start: {server.communicate()[1].strip().removeprefix('error: ')}")
        try:
            endpoint.version()
            return
        except Unavailable:
            time.sleep(0.1)
    raise Unavailable(f"the server was not ready within {START_SECONDS} s")
