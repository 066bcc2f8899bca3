import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from registry import packages, versions
from registry.core import Registry
from tailorbird.errors import Corrupt, InvalidInput, NotFound, Unavailable
from tailorbird.prediction import predictors
from tailorbird.prediction.predictors import Local, Remote
from tailorbird.settings import Settings
from tests.packages import IMAGES

TOKEN = "a token of an endpoint"
SIGNATURE = IMAGES | {"shape": [2, 2]}


class Endpoint:
    """Answers each request with what comes next, the last one for ever: a status, headers and content."""

    def __init__(self):
        self.answers, self.requests = [], []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                endpoint.requests.append((self.path, dict(self.headers), body))
                status, headers, content = endpoint.answers.pop(0) if endpoint.answers[1:] else endpoint.answers[0]
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def endpoint():
    started = Endpoint()
    yield started
    started.server.shutdown()
    started.server.server_close()


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path, api_token=TOKEN, _env_file=None)


MODEL = (200, {}, {"model": "pets", "version": 3, "signature": SIGNATURE})


def predictions(rows, version=3):
    answers = [{"probabilities": dict(zip(("dog", "cat"), row, strict=True))} for row in rows]
    return (200, {}, {"model": "pets", "version": version, "predictions": answers})


# --- a version of the registry


def test_a_version_answers_with_probabilities(house):
    with Registry(house.settings) as registry:
        digits, cells = Local(registry, "digits:1"), Local(registry, "cells@champion")
    assert (digits.signature.kind, digits.signature.shape, digits.version) == ("image", (8, 8), 1)
    probabilities = digits.predict(house.pixels)
    assert probabilities.shape == (len(house.pixels), 10) and np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert cells.signature.columns == house.cells.columns
    answers = cells.predict(house.rows).argmax(1)
    assert (answers == house.cells.test.targets).mean() > 0.85


def test_a_version_that_is_not_there_or_does_not_verify_is_refused(house, tmp_path):
    with Registry(house.settings) as registry, pytest.raises(NotFound):
        Local(registry, "nobody")
    with Registry(house.settings) as registry:
        version = versions.resolve(registry, "digits")
        digest = packages.manifest(registry.blobs, version.manifest).files["model.onnx"].sha256
        path = registry.blobs.path(digest)
        before = path.read_bytes()
        path.write_bytes(before[:-1] + b"!")
        try:
            with pytest.raises(Corrupt, match=r"model\.onnx"):
                Local(registry, "digits")
        finally:
            path.write_bytes(before)


# --- an endpoint


def test_an_endpoint_is_asked_for_its_model_and_with_its_token(endpoint, settings):
    endpoint.answers = [MODEL, predictions([(0.25, 0.75)])]
    remote = Remote(f"{endpoint.url}/", settings)
    assert (remote.model, remote.version) == ("pets", 3)
    probabilities = remote.predict(np.array([[[1, 2], [3, 4]]], np.uint8))
    assert probabilities.tolist() == [[0.75, 0.25]]  # cat, then dog
    (_, headers, _), (path, _, body) = endpoint.requests
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert path == "/predict" and json.loads(body) == {"inputs": [[[1, 2], [3, 4]]]}


def test_many_inputs_are_sent_in_several_requests(endpoint, settings):
    size = predictors.INPUTS_AT_ONCE
    endpoint.answers = [MODEL, predictions([(0, 1)] * size), predictions([(1, 0)] * 2)]
    probabilities = Remote(endpoint.url, settings).predict(np.zeros((size + 2, 2, 2), np.uint8))
    assert probabilities[:, 0].tolist() == [1] * size + [0] * 2


def test_an_endpoint_that_is_busy_is_asked_again(endpoint, settings):
    busy = (503, {"Retry-After": "0.01"}, {"detail": "overloaded"})
    endpoint.answers = [busy, busy, MODEL]
    assert Remote(endpoint.url, settings).version == 3
    endpoint.answers = [busy]
    with pytest.raises(Unavailable, match="answered 503: overloaded"):
        Remote(endpoint.url, settings)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((401, {}, {"detail": "a token, please"}), "answered 401: a token, please"),
        ((500, {}, b"<html>"), "answered 500: <html>"),
        ((200, {}, b"<html>"), "did not answer like a Tailorbird endpoint"),
        ((200, {}, [1]), "did not answer like a Tailorbird endpoint"),
    ],
)
def test_what_is_no_endpoint_is_told(endpoint, settings, answer, problem):
    endpoint.answers = [answer]
    with pytest.raises(Unavailable, match=problem):
        Remote(endpoint.url, settings)


def test_another_version_in_the_middle_is_not_mixed_in(endpoint, settings):
    endpoint.answers = [MODEL, predictions([(0, 1)], version=4)]
    with pytest.raises(Unavailable, match="switched from version 3 to 4"):
        Remote(endpoint.url, settings).predict(np.zeros((1, 2, 2), np.uint8))


@pytest.mark.parametrize("content", [{"version": 3}, {"version": 3, "predictions": [{"probabilities": {"cat": 1}}]}])
def test_an_answer_of_another_form_is_told(endpoint, settings, content):
    endpoint.answers = [MODEL, (200, {}, content)]
    with pytest.raises(Unavailable, match="did not answer like an endpoint of this release"):
        Remote(endpoint.url, settings).predict(np.zeros((1, 2, 2), np.uint8))


def test_nobody_at_a_url_is_told(endpoint, settings):
    endpoint.server.server_close()
    with pytest.raises(Unavailable, match="does not answer: "):
        Remote(endpoint.url, settings)


@pytest.mark.parametrize("url", ["", "127.0.0.1:3000", "file:///etc/passwd", "http://"])
def test_what_is_no_url_is_refused(settings, url):
    with pytest.raises(InvalidInput, match="--url: must be a URL as http"):
        Remote(url, settings)
