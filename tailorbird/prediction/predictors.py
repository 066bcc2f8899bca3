"""Predictors: a version of the registry in this process, or an endpoint. Both are thread-safe."""

import json
import time
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from registry import packages, verification, versions
from registry.core import Registry
from tailorbird import onnx
from tailorbird.errors import Corrupt, InvalidInput, Unavailable
from tailorbird.package.signature import Signature
from tailorbird.settings import Settings

INPUTS_AT_ONCE, NUMBERS_AT_ONCE = 64, 2**18
"""The most bytes of one request, far below the limits of an endpoint."""
TRIES, MOST_WAIT_SECONDS = 5, 30.0
TIMEOUT_SECONDS = 60

Inputs = NDArray[Any]
Probabilities = NDArray[np.float32]


class Predictor(Protocol):
    """`predict` returns the probabilities [N, classes] of inputs [N, *shape]."""

    model: str
    version: int
    signature: Signature

    def predict(self, inputs: Inputs) -> Probabilities: ...


class Local:
    """A version of the registry, in ONNX Runtime with one thread per call; callers run in parallel."""

    def __init__(self, registry: Registry, reference: str) -> None:
        """Raises NotFound, and Corrupt for a package that does not verify or a model that cannot be opened."""
        version = versions.resolve(registry, reference)
        if (key := registry.settings.public_key) is not None:
            verification.check_signature(key, version)
        manifest = packages.manifest(registry.blobs, version.manifest)
        verification.check(version, manifest)
        self.model, self.version = version.model, version.number
        self.signature = Signature.parse(packages.content(registry.blobs, manifest, Signature.file))
        self._session = _session(packages.content(registry.blobs, manifest, "model.onnx"))

    def predict(self, inputs: Inputs) -> Probabilities:
        name = self._session.get_inputs()[0].name
        probabilities: Probabilities = self._session.run(["probabilities"], {name: inputs})[0]
        if probabilities.shape[1] == 1:
            return np.concatenate((1 - probabilities, probabilities), axis=1)
        return probabilities


class Remote:
    """An endpoint by its URL."""

    def __init__(self, url: str, settings: Settings) -> None:
        """Raises InvalidInput for an invalid URL, Unavailable if no endpoint answers."""
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise InvalidInput("--url", f"must be a URL as http://127.0.0.1:3000, not {url!r}")
        self._url = url.rstrip("/")
        token = settings.api_token
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        model = self._ask("/model")
        try:
            self.model, self.version = str(model["model"]), int(model["version"])
        except (KeyError, TypeError, ValueError):
            raise Unavailable(f"{self._url} did not answer like a Tailorbird endpoint") from None
        self.signature = Signature.of(model.get("signature"), f"the signature of {self.model}:{self.version}")

    def predict(self, inputs: Inputs) -> Probabilities:
        size = max(1, min(INPUTS_AT_ONCE, NUMBERS_AT_ONCE // int(np.prod(self.signature.shape))))
        parts = [self._predict(inputs[start : start + size]) for start in range(0, len(inputs), size)]
        return np.concatenate(parts)

    def _predict(self, inputs: Inputs) -> Probabilities:
        answer = self._ask("/predict", {"inputs": inputs.tolist()})
        try:
            if (version := answer["version"]) != self.version:
                raise Unavailable(
                    f"{self._url} switched from version {self.version} to {version} during the run; run again"
                )
            rows = [[row["probabilities"][name] for name in self.signature.classes] for row in answer["predictions"]]
            return np.array(rows, np.float32).reshape(len(inputs), -1)
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"{self._url} did not answer like an endpoint of this release: {error!r}") from None

    def _ask(self, route: str, content: object = None) -> dict[str, Any]:
        body = None if content is None else json.dumps(content).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        for last in [False] * (TRIES - 1) + [True]:
            request = urllib.request.Request(self._url + route, body, headers)  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                    return dict(json.load(answer))
            except urllib.error.HTTPError as error:
                with error:
                    if error.code != 503 or last:
                        raise Unavailable(f"{self._url} answered {error.code}: {_detail(error.read())}") from None
                    time.sleep(_wait(error.headers))
            except (OSError, HTTPException) as error:
                raise Unavailable(f"{self._url} does not answer: {getattr(error, 'reason', error)}") from None
            except (ValueError, TypeError):
                break
        raise Unavailable(f"{self._url} did not answer like a Tailorbird endpoint")


def _session(model: bytes) -> Any:
    try:
        return onnx.session(model)
    except Exception as error:  # ONNX Runtime's exceptions have no other base
        raise Corrupt(f"model.onnx does not run: {error}") from None


def _wait(headers: Message) -> float:
    """The seconds that an endpoint asks to wait for."""
    try:
        return min(MOST_WAIT_SECONDS, max(0.0, float(headers.get("Retry-After", "1"))))
    except ValueError:
        return 1.0


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
