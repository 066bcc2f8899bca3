"""The routes as a client sees them: a real server with two workers."""

import io
import json
import socket
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from registry import aliases, versions
from registry.names import Reference
from registry.requests import Promotion

IMAGES = np.random.default_rng(7).integers(0, 256, (5, 28, 28), np.uint8)
JSON = {"Content-Type": "application/json"}


def picture(kind="PNG", pixels=IMAGES[0]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def send_picture(client, body=None, media_type="image/png"):
    return client.post("/predict", content=picture() if body is None else body, headers={"Content-Type": media_type})


def check_problem(response, status):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    record = response.json()
    assert record["status"] == status
    assert record["instance"] == response.headers["x-request-id"]
    return record["detail"]


def test_predicts_json(client, toy):
    response = client.post("/predict", json={"inputs": IMAGES.tolist()})
    assert response.status_code == 200
    labels = [record["label"] for record in response.json()["predictions"]]
    assert labels == [toy.classes[winner] for winner in toy.probabilities(IMAGES).argmax(axis=1)]


def test_predicts_a_large_batch(client, toy):
    many = np.random.default_rng(8).integers(0, 256, (700, 28, 28), np.uint8)
    response = client.post("/predict", json={"inputs": many.tolist()})
    record = [record["index"] for record in response.json()["predictions"]]
    assert record == toy.probabilities(many).argmax(axis=1).tolist()


def test_predicts_a_picture(client, toy):
    (prediction,) = send_picture(client).json()["predictions"]
    expected = toy.probabilities(IMAGES[:1])[0]
    np.testing.assert_allclose(list(prediction["probabilities"].values()), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_predicts_other_pictures(client, kind):
    assert send_picture(client, picture(kind), f"image/{kind.lower()}").status_code == 200


def test_a_picture_of_another_size(client):
    colour = np.zeros((300, 400, 3), np.uint8)
    assert send_picture(client, picture(pixels=colour)).status_code == 200


def test_what_is_no_picture(client):
    assert "PNG, JPEG or WebP" in check_problem(send_picture(client, b"no picture"), 400)


@pytest.mark.parametrize("media_type", ["", "text/plain", "image/gif", "application/x-www-form-urlencoded"])
def test_other_content_types(client, media_type):
    detail = check_problem(send_picture(client, media_type=media_type), 415)
    assert "accepted: application/json, image/png, image/jpeg, image/webp" in detail
    assert check_problem(client.post("/feedback", content=b"{}", headers={"Content-Type": media_type}), 415)


@pytest.mark.parametrize("route", ["/predict", "/feedback"])
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b'{"inputs": [NaN]}', 400), (b"[]", 422), (b"{}", 422), (b'{"inputs": []}', 422)],
)
def test_wrong_json(client, route, body, status):
    check_problem(client.post(route, content=body, headers=JSON), status)


def test_a_wrong_image_is_named(client):
    wrong = IMAGES.tolist()
    wrong[3][27][5] = 256
    detail = check_problem(client.post("/predict", json={"inputs": wrong}), 422)
    assert detail == "inputs[3][27][5] is 256; accepted: an integer from 0 to 255"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["inputs", "labels", "x"]), inner),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.one_of(ANY_JSON, st.fixed_dictionaries({"inputs": ANY_JSON}), st.fixed_dictionaries({"labels": ANY_JSON})))
def test_no_wrong_input_gets_an_answer_or_breaks_it(client, content):
    body = json.dumps(content)
    assert client.post("/predict", content=body, headers=JSON).status_code in (400, 422)
    assert client.post("/feedback", content=body, headers=JSON).status_code in (400, 422)


@given(st.binary(max_size=200))
def test_no_other_bytes_either(client, body):
    for media_type in ("application/json", "image/png"):
        assert send_picture(client, body, media_type).status_code in (400, 422)


def test_a_body_over_the_limit(client):
    limit = 16 * 2**20
    assert f"over the limit of {limit} bytes" in check_problem(send_picture(client, b"x" * (limit + 1)), 413)
    chunks = (b"x" * 2**20 for _ in range(17))
    check_problem(send_picture(client, chunks), 413)
    assert send_picture(client).status_code == 200


def test_feedback(client):
    (prediction,) = send_picture(client).json()["predictions"]
    labels = [{"receipt": prediction["receipt"], "label": label} for label in ("two", "two", "nothing")]
    first = client.post("/feedback", json={"labels": labels})
    assert first.status_code == 200
    assert first.json() == {
        "accepted": 1,
        "duplicate": 1,
        "conflict": 0,
        "rejected": 1,
        "reasons": [{"index": 2, "reason": "label", "detail": "'nothing' is not a class of demo:1"}],
    }


def test_model(client, registry, toy):
    record = client.get("/model").json()
    assert (record["model"], record["version"], record["aliases"]) == ("demo", 1, ["champion"])
    assert record["manifest"] == versions.resolve(registry, Reference("demo")).manifest
    assert record["signature"]["classes"] == list(toy.classes)
    assert record["baseline"]["accuracy"] == record["evidence"]["accuracy"] == 0.875
    assert record["lineage"] == {"sweep": "by hand"}
    assert record["created"].endswith("Z")


def test_aliases_of_the_model_are_those_of_now(client, registry):
    aliases.promote(registry, Promotion("demo", 1, why="a test", who="tester", alias="second"))
    assert client.get("/model").json()["aliases"] == ["champion", "second"]


def test_health(client):
    assert client.get("/livez").json() == {"status": "live"}
    assert client.get("/readyz").json() == {"status": "ready", "model": "demo", "version": 1}


@pytest.mark.parametrize(("method", "path", "allowed"), [("GET", "/predict", "POST"), ("PUT", "/model", "GET, HEAD")])
def test_other_methods(client, method, path, allowed):
    response = client.request(method, path)
    check_problem(response, 405)
    assert sorted(response.headers["allow"].split(", ")) == allowed.split(", ")


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "/model/../nothing", "/%00", "/static_content/x"])
def test_other_paths(client, path):
    check_problem(client.get(path), 404)


def test_metrics_of_a_request(client):
    def total() -> float:
        lines = client.get("/metrics").text.splitlines()
        counts = [line for line in lines if line.startswith("tailorbird_predictions_total{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in counts)

    before = total()
    client.post("/predict", json={"inputs": IMAGES.tolist()})
    assert total() == before + 5


def test_a_client_that_leaves_in_the_middle(client, server):
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nabc"
        )
    assert client.get("/livez").status_code == 200
    assert "Traceback" not in server.output()
