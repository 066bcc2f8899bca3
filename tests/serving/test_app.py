import asyncio
from contextlib import suppress

import httpx
import pytest

from serving.answers import Answer
from serving.app import Application, Route
from serving.problems import Shed
from serving.requests import ClientLeft, Request

TOKEN = "a secret token"
GET = ("GET", "HEAD")


async def good(request: Request) -> Answer:
    return Answer(request.id.encode(), "text/plain")


async def bad(_: Request) -> Answer:
    raise RuntimeError("an internal matter")


async def busy(_: Request) -> Answer:
    raise Shed("queue", "the server is overloaded")


async def left(_: Request) -> Answer:
    raise ClientLeft


def built(metrics, token=None) -> Application:
    routes = {f"/{handler.__name__}": Route(GET, handler) for handler in (good, bad, busy, left)}
    return Application(routes | {"/livez": Route(GET, good, open=True)}, {}, None, metrics, token)


def ask(metrics, path, token=None, method="GET", **headers) -> httpx.Response:
    async def main():
        transport = httpx.ASGITransport(built(metrics, token), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=names)

    return asyncio.run(main())


def count(metrics, route, code):
    labels = {"route": route, "code": str(code)}
    return metrics.registry.get_sample_value("tailorbird_request_duration_seconds_count", labels)


@pytest.mark.parametrize("sent", ["a", "A-Z_0.9", "x" * 128])
def test_keeps_the_id_of_a_request(metrics, sent):
    response = ask(metrics, "/good", x_request_id=sent)
    assert response.headers["x-request-id"] == response.text == sent


@pytest.mark.parametrize("sent", ["", "x" * 129, "with space", "semi;colon", "ümlaut".encode()])
def test_makes_an_id_where_there_is_no_good_one(metrics, sent):
    ids = [ask(metrics, "/good", x_request_id=sent).headers["x-request-id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert len(ids[0]) == 32


def test_a_defect_shows_nothing_of_its_inside(metrics, caplog):
    response = ask(metrics, "/bad", x_request_id="mine")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["instance"] == response.headers["x-request-id"] == "mine"
    assert "internal matter" not in response.text
    assert "mine" in caplog.text
    assert "RuntimeError: an internal matter" in caplog.text
    assert count(metrics, "/bad", 500) == 1


def test_shed_requests_are_counted_by_reason(metrics):
    response = ask(metrics, "/busy")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert metrics.registry.get_sample_value("tailorbird_shed_total", {"reason": "queue"}) == 1


@pytest.mark.parametrize("stopping", [True, False])
def test_what_is_not_ready_when_the_server_ends_is_told_so_and_counted(metrics, stopping):
    messages, begun = [], asyncio.Event()

    async def handler(_: Request) -> Answer:
        begun.set()
        await asyncio.Event().wait()

    async def send(message):
        messages.append(message)

    async def run():
        app = Application({"/": Route(GET, handler)}, {}, None, metrics, None, stopping=lambda: stopping)
        task = asyncio.create_task(app({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send))
        await begun.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    shed = metrics.registry.get_sample_value("tailorbird_shed_total", {"reason": "stopping"})
    assert ([message.get("status") for message in messages], shed) == (([503, None], 1) if stopping else ([], 0))


def test_head_has_no_body(metrics):
    response = ask(metrics, "/good", method="HEAD", x_request_id="mine")
    assert (response.status_code, response.content, response.headers["content-length"]) == (200, b"", "4")


def test_another_method(metrics):
    response = ask(metrics, "/good", method="POST")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


def sent(metrics, path) -> list:
    """What goes out below the level of HTTP, be it a whole answer or not."""
    messages = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    with suppress(RuntimeError):
        asyncio.run(built(metrics)(scope, receive, send))
    return messages


def test_a_client_that_left_is_no_defect(metrics, caplog):
    assert sent(metrics, "/left") == []
    assert count(metrics, "/left", 499) == 1
    assert not caplog.records


def test_what_is_being_answered_is_counted(metrics):
    assert sent(metrics, "/good")
    assert metrics.registry.get_sample_value("tailorbird_in_flight_requests") == 0


def test_what_comes_afterwards_comes_after_the_answer(metrics):
    order = []

    async def handler(_: Request) -> Answer:
        return Answer(b"", afterwards=lambda: order.append("afterwards"))

    async def send(message):
        order.append(message["type"])

    app = Application({"/": Route(GET, handler)}, {}, None, metrics, None)
    asyncio.run(app({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send))
    assert order == ["http.response.start", "http.response.body", "afterwards"]


def test_unknown_routes_are_counted_as_one(metrics):
    for path in ("/one", "/two", "/good/../three", "/good%0a", "/good/"):
        assert ask(metrics, path).status_code == 404
    assert count(metrics, "other", 404) == 5
    assert "/one" not in metrics.render().decode()


def test_counts_what_is_answered(metrics):
    for _ in range(3):
        ask(metrics, "/good")
    assert count(metrics, "/good", 200) == 3


@pytest.mark.parametrize("sent", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
def test_the_token_opens(metrics, sent):
    assert ask(metrics, "/good", TOKEN, authorization=sent).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [None, "", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ümlaut".encode()],
)
def test_anything_else_does_not(metrics, sent):
    response = ask(metrics, "/good", TOKEN, **({} if sent is None else {"authorization": sent}))
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
