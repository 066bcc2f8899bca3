import asyncio
from contextlib import suppress

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from serving.envelope import Envelope

TOKEN = "a secret token"


async def good(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.state.request_id)


async def bad(_: Request) -> PlainTextResponse:
    raise RuntimeError("an internal matter")


async def half(_: Request) -> StreamingResponse:
    async def parts():
        yield b"half"
        raise RuntimeError("an internal matter")

    return StreamingResponse(parts())


async def left(_: Request) -> PlainTextResponse:
    raise ClientDisconnect


def wrapped(metrics, token=None) -> Starlette:
    routes = [Route(f"/{one.__name__}", one) for one in (good, bad, half, left)] + [Route("/livez", good)]
    envelope = Middleware(Envelope, paths=["/good", "/bad", "/half", "/left"], metrics=metrics, token=token)
    return Starlette(routes=routes, middleware=[envelope])


def ask(metrics, path, token=None, **headers) -> httpx.Response:
    async def main():
        transport = httpx.ASGITransport(wrapped(metrics, token), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return asyncio.run(main())


def count(metrics, route, code):
    labels = {"route": route, "code": str(code)}
    return metrics.registry.get_sample_value("tailorbird_request_duration_seconds_count", labels)


@pytest.mark.parametrize("given", ["a", "A-Z_0.9", "x" * 128])
def test_keeps_the_id_of_a_request(metrics, given):
    response = ask(metrics, "/good", x_request_id=given)
    assert response.headers["x-request-id"] == response.text == given


@pytest.mark.parametrize("given", ["", "x" * 129, "with space", "semi;colon", "ümlaut".encode()])
def test_makes_an_id_where_there_is_no_good_one(metrics, given):
    of = [ask(metrics, "/good", x_request_id=given).headers["x-request-id"] for _ in range(2)]
    assert of[0] != of[1]
    assert len(of[0]) == 32


def test_a_defect_is_told_without_its_inside(metrics, caplog):
    response = ask(metrics, "/bad", x_request_id="mine")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["instance"] == response.headers["x-request-id"] == "mine"
    assert "internal matter" not in response.text
    assert "mine" in caplog.text
    assert "RuntimeError: an internal matter" in caplog.text
    assert count(metrics, "/bad", 500) == 1


def sent(metrics, path) -> list:
    """What goes out below the level of HTTP, be it a whole answer or not."""
    messages = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    with suppress(RuntimeError):
        asyncio.run(wrapped(metrics)(scope, receive, send))
    return messages


def test_a_defect_in_half_an_answer_is_no_whole_answer(metrics):
    assert [message.get("body") for message in sent(metrics, "/half")] == [None, b"half"]


def test_a_client_that_left_is_no_defect(metrics, caplog):
    assert sent(metrics, "/left") == []
    assert count(metrics, "/left", 499) == 1
    assert not caplog.records


def test_unknown_routes_are_counted_as_one(metrics):
    for path in ("/one", "/two", "/good/../three"):
        ask(metrics, path)
    assert count(metrics, "other", 404) == 3
    assert "/one" not in metrics.render().decode()


def test_counts_what_is_answered(metrics):
    for _ in range(3):
        ask(metrics, "/good")
    assert count(metrics, "/good", 200) == 3


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
def test_the_token_opens(metrics, given):
    assert ask(metrics, "/good", TOKEN, authorization=given).status_code == 200


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ümlaut".encode()],
)
def test_anything_else_does_not(metrics, given):
    response = ask(metrics, "/good", TOKEN, **({} if given is None else {"authorization": given}))
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    assert TOKEN not in response.text
    assert count(metrics, "/good", 401) == 1


def test_a_token_beyond_ascii(metrics):
    assert ask(metrics, "/good", "schlüssel", authorization="Bearer schlüssel".encode()).status_code == 200


def test_health_needs_no_token(metrics):
    assert ask(metrics, "/livez", TOKEN).status_code == 200
    assert ask(metrics, "/nowhere", TOKEN).status_code == 401
