import asyncio

import pytest

from serving import bodies
from serving.answers import JSON
from serving.problems import Problem
from serving.requests import Request


def request(*chunks: bytes, **headers: str) -> Request:
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b""})
    waiting = iter(messages)

    async def receive():
        return next(waiting)

    names = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request("POST", "/", names, {}, receive)


def test_reads_up_to_the_limit():
    assert asyncio.run(bodies.read(request(b"abc", b"de"), 5)) == b"abcde"


@pytest.mark.parametrize("sent", [request(b"abc", b"def"), request(content_length="6")])
def test_refuses_what_is_over_the_limit(sent):
    with pytest.raises(Problem, match="over the limit of 5 bytes") as caught:
        asyncio.run(bodies.read(sent, 5))
    assert caught.value.status == 413


def test_stops_to_read_at_the_limit():
    sent = request(*[b"abc"] * 9)
    with pytest.raises(Problem, match="over the limit of 5 bytes"):
        asyncio.run(bodies.read(sent, 5))
    assert asyncio.run(sent.chunk()) == (b"abc", True)  # the third of nine; the rest is not read


@pytest.mark.parametrize("given", ["application/json", "Application/JSON; charset=utf-8"])
def test_media_type_without_parameters(given):
    assert bodies.media_type(request(content_type=given), "image/png", JSON) == JSON


@pytest.mark.parametrize(
    ("headers", "message"), [({}, "there is no Content-Type"), ({"content_type": "text/csv"}, "'text/csv' is not")]
)
def test_other_media_types(headers, message):
    with pytest.raises(Problem, match=f"{message}.*accepted: image/png, application/json") as caught:
        bodies.media_type(request(**headers), "image/png", JSON)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("kind", "coding", "plain"),
    [
        ("content", "gzip", "identity"),
        ("content", "br, identity", "identity"),
        ("transfer", "gzip, chunked", "chunked"),
    ],
)
def test_compressed_bodies(kind, coding, plain):
    with pytest.raises(Problem, match=f"the {kind} encoding .*accepted: {plain}") as caught:
        bodies.media_type(request(content_type=JSON, **{f"{kind}_encoding": coding}), JSON)
    assert caught.value.status == 415
    assert bodies.media_type(request(content_type=JSON, **{f"{kind}_encoding": plain}), JSON) == JSON


@pytest.mark.parametrize("body", [b'{"a": [1], "a": [2]}', b'{"a": [{"b": 1, "c": {"d": 2, "d": 2}}]}'])
def test_a_key_that_is_there_twice(body):
    with pytest.raises(Problem, match=r"the key '[ad]' twice") as caught:
        bodies.parse(body, "a")
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"a": [1]} x', b"[" * 5000])
def test_malformed_json(body):
    with pytest.raises(Problem, match="the body is not JSON") as caught:
        bodies.parse(body, "a")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[1]", "the body is a list of 1; accepted: an object with a"),
        (b"{}", "the body has no a; accepted"),
        (b'{"a": [1], "b": 2}', "the body has an unknown key 'b'"),
        (b'{"a": []}', "a is an empty list"),
        (b'{"a": {}}', "a is an object"),
        (b'{"a": null}', "a is null"),
        (b'{"a": false}', "a is false"),
        (b'{"a": "' + b"x" * 9999 + b'"}', "a is 'xxx"),
    ],
)
def test_another_form(body, message):
    with pytest.raises(Problem) as caught:
        bodies.parse(body, "a")
    assert caught.value.status == 422
    assert caught.value.detail.startswith(message)
    assert len(caught.value.detail) < 120


def test_the_list_of_the_field():
    assert bodies.parse(b'{"a": [1, 2]}', "a") == [1, 2]
