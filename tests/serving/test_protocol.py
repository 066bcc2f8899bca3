"""One connection at a time, against uvicorn in this process; `tests/faults/serving` asks real servers."""

import asyncio
import socket
from contextlib import suppress

import pytest
import uvicorn

from serving import clock, protocol
from serving.answers import Answer, Promise
from serving.app import CLIENT_LEFT, Application, Route

GET = b"GET /quick HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
LARGE = GET.replace(b"/quick", b"/large")


async def slow(_) -> Answer:
    return Answer(b"by a task", "text/plain")


async def large(_) -> Answer:
    return Answer(bytes(5000), "text/plain")


async def whole(request) -> Answer:
    more = True
    while more:
        _, more = await request.chunk()
    return Answer(b"read", "text/plain")


def quick(request, body) -> Answer | None:
    """Answers without a task but where the body asks for one."""
    return None if body == b"task" else Answer(b"at once", "text/plain")


class Later:
    """Promises answers, which `keep` or `fail` lets come."""

    def __init__(self) -> None:
        self.results: list[asyncio.Future[bytes]] = []
        self.finish = lambda body: Answer(body, "text/plain")

    def __call__(self, request, body) -> Promise:
        self.results.append(asyncio.get_running_loop().create_future())
        return Promise(self.results[-1], lambda body: self.finish(body))

    async def asked(self, times=1) -> None:
        while len(self.results) < times:
            await asyncio.sleep(0.01)

    def keep(self) -> None:
        self.results[-1].set_result(b"by a thread")


def defect(request, body) -> Answer:
    """Goes wrong when the answer is out."""
    return Answer(b"at once", "text/plain", afterwards=lambda: 1 / 0)


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def run(metrics, later, monkeypatch):
    """Runs a client, which is given a way to connect and uvicorn's server, against a server of these limits."""
    monkeypatch.setattr(clock, "SWEEP_SECONDS", 0.02)
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", None)

    def run(client, keep_alive=60.0, connections=100, stopping=False, receive=60.0, grace=None):
        routes = {
            "/quick": Route(("GET",), slow, inline=quick),
            "/defect": Route(("GET",), slow, inline=defect),
            "/large": Route(("GET",), large, inline=lambda *_: Answer(bytes(5000), "text/plain")),
            "/later": Route(("GET",), slow, inline=later),
            "/whole": Route(("POST",), whole, inline=quick),
        }
        app = Application(routes, {}, None, metrics, None, stopping=lambda: stopping)
        protocol.install(app, receive_seconds=receive, keep_alive_seconds=keep_alive)
        made = uvicorn.config.HTTP_PROTOCOLS["auto"]
        made.most_connections = connections

        async def main():
            options = {"lifespan": "off", "log_config": None, "timeout_graceful_shutdown": grace}
            config = uvicorn.Config(app, http=made, host="127.0.0.1", port=0, **options)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server._serve())
            while not server.started:
                await asyncio.sleep(0.01)
            sweeping = asyncio.create_task(clock.sweep(server.server_state.connections))
            address = server.servers[0].sockets[0].getsockname()
            try:
                async with asyncio.timeout(20):
                    return await client(lambda: asyncio.open_connection(*address[:2]), server)
            finally:
                sweeping.cancel()
                server.should_exit = server.force_exit = True
                await serving

        return asyncio.run(main())

    return run


async def ask(reader, writer, request=GET) -> tuple[bytes, bytes]:
    """The head and the body of an answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
    return head, await reader.readexactly(int(length.removeprefix(b"content-length: ")))


def test_small_requests_are_answered_at_once_and_others_by_a_task(run):
    async def client(connect, server):
        reader, writer = await connect()
        task = GET.replace(b"Length: 0", b"Length: 4") + b"task"
        return [(await ask(reader, writer, request))[1] for request in (GET, task, GET)]

    assert run(client) == [b"at once", b"by a task", b"at once"]


def test_requests_in_one_piece_are_answered_in_their_order(run):
    async def client(connect, server):
        reader, writer = await connect()
        task = GET.replace(b"Length: 0", b"Length: 4") + b"task"
        writer.write(GET + task + GET)
        return [(await ask(reader, writer, b""))[1] for _ in range(3)]

    assert run(client) == [b"at once", b"by a task", b"by a task"]  # the last one has to wait


def test_idle_connections_are_closed(run):
    async def client(connect, server):
        reader, writer = await connect()
        await ask(reader, writer)
        return await reader.read()

    assert run(client, keep_alive=0.1) == b""


def test_too_many_connections_make_room_for_new_ones(run):
    async def client(connect, server):
        connections = [await connect() for _ in range(5)]
        first = await connections[0][0].read()  # closed
        return first, (await ask(*connections[-1]))[1]

    assert run(client, connections=3) == (b"", b"at once")


def test_while_it_stops_every_answer_asks_to_close(run):
    async def client(connect, server):
        reader, writer = await connect()
        head, _ = await ask(reader, writer)
        return b"connection: close\r\n" in head, await reader.read()

    assert run(client, stopping=True) == (True, b"")


MOST = 20_000
"""Requests of which the buffers of the system hold but a part."""


@pytest.mark.parametrize("stopping", [False, True], ids=["idle", "at a stop"])
def test_a_client_that_does_not_read_is_not_read_from_and_closed(run, monkeypatch, stopping):
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.3)

    async def client(connect, server):
        address = server.servers[0].sockets[0].getsockname()
        with socket.socket() as unread:
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                unread.setsockopt(socket.SOL_SOCKET, option, 2**16)
            unread.connect(address[:2])
            unread.setblocking(False)
            loop, sent = asyncio.get_running_loop(), 0
            with suppress(TimeoutError):
                while sent < MOST:
                    async with asyncio.timeout(0.5):
                        await loop.sock_sendall(unread, LARGE * 100)
                    sent += 100
            (connection,) = server.server_state.connections
            unsent = connection.transport.get_write_buffer_size()
            if stopping:
                server.should_exit = True
            else:
                connection.keep_alive_seconds = 0.3
            while server.server_state.connections:
                await asyncio.sleep(0.01)
        return sent, unsent

    sent, unsent = run(client)
    assert sent < MOST
    assert unsent < 2**18


def test_a_client_that_reads_late_gets_all_its_answers(run):
    async def client(connect, server):
        reader, writer = await connect()
        writer.write(LARGE * 3000)
        (connection,) = server.server_state.connections
        while not connection.flow.write_paused:
            await asyncio.sleep(0.01)
        return [len((await ask(reader, writer, b""))[1]) for _ in range(3000)]

    assert run(client) == [5000] * 3000


STALLED = b"POST /whole HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nta"


def answered(metrics, code, route="/whole") -> float | None:
    labels = {"route": route, "code": str(code)}
    return metrics.registry.get_sample_value("tailorbird_request_duration_seconds_count", labels)


def test_a_small_body_that_stalls_is_told_and_counted_by_its_route(run, metrics):
    async def client(connect, server):
        reader, writer = await connect()
        return await ask(reader, writer, STALLED), await reader.read()

    (head, body), rest = run(client, receive=0.1)
    assert head.startswith(b"HTTP/1.1 408 ") and rest == b""
    assert b"the request did not come within 0.1 s" in body
    assert answered(metrics, 408) == 1


@pytest.mark.parametrize("rest", [b"", b"zz\r\n"], ids=["stalls", "breaks off"])
def test_a_request_that_was_answered_before_its_body_came_is_answered_once(run, metrics, rest):
    async def client(connect, server):
        reader, writer = await connect()
        answer = await ask(reader, writer, CHUNKED.replace(b"/whole", b"/nowhere") + b"3\r\nbod\r\n")
        writer.write(rest)
        return answer[0], await reader.read()

    head, more = run(client, receive=60.0 if rest else 0.3)
    assert head.startswith(b"HTTP/1.1 404 ") and more == b""
    assert answered(metrics, 404, "other") == 1
    assert answered(metrics, 400, "other") is None and answered(metrics, 408, "other") is None


CHUNKED = b"POST /whole HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
EARLY = CHUNKED.replace(b"/whole", b"/nowhere").replace(b"Host: x", b"Host: x\r\nConnection: close")


@pytest.mark.parametrize("request_line", [b"\0 no HTTP", EARLY], ids=["malformed", "early"])
@pytest.mark.parametrize("ending", ["too long", "too late", "at a stop"])
def test_what_comes_after_an_answer_is_read_within_limits(run, monkeypatch, request_line, ending):
    monkeypatch.setattr(protocol, "DISCARDED_BYTES", 2**20)

    async def client(connect, server):
        reader, writer = await connect()
        await ask(reader, writer, request_line)
        assert await reader.read() == b""
        if ending != "too late":
            writer.write(bytes(2**19))
            await writer.drain()
            assert server.server_state.connections
        if ending == "too long":
            writer.write(bytes(2**20))
        server.should_exit = ending == "at a stop"
        while server.server_state.connections:
            await asyncio.sleep(0.01)

    run(client, receive=0.5 if ending == "too late" else 60.0)


def test_a_client_that_leaves_before_its_small_body_is_whole_is_counted(run, metrics):
    async def client(connect, server):
        _, writer = await connect()
        writer.write(STALLED)
        await writer.drain()
        writer.close()
        while answered(metrics, CLIENT_LEFT) is None:
            await asyncio.sleep(0.01)

    run(client)
    assert answered(metrics, CLIENT_LEFT) == 1


@pytest.mark.parametrize(("rest", "grace", "status"), [(b"", 0.2, b"503"), (b"sk", None, b"200")])
def test_a_small_body_that_is_not_whole_when_the_server_stops_is_answered(run, metrics, rest, grace, status):
    async def client(connect, server):
        reader, writer = await connect()
        writer.write(STALLED)
        while all(connection.idle for connection in server.server_state.connections):
            await asyncio.sleep(0.01)
        server.should_exit = True
        while server.servers[0].is_serving():
            await asyncio.sleep(0.01)
        return await ask(reader, writer, rest)

    head, _ = run(client, stopping=True, grace=grace)
    assert head.startswith(b"HTTP/1.1 " + status)
    assert answered(metrics, int(status)) == 1


LATER = GET.replace(b"/quick", b"/later")


def test_a_promised_answer_keeps_its_place_among_others(run, later, metrics):
    async def client(connect, server):
        reader, writer = await connect()
        writer.write(LATER + GET + LATER)
        await later.asked()
        in_flight = metrics.registry.get_sample_value("tailorbird_in_flight_requests")
        later.keep()
        answers = [(await ask(reader, writer, b""))[1] for _ in range(2)]
        return in_flight, [*answers, (await ask(reader, writer, b""))[1]]

    assert run(client) == (1, [b"by a thread", b"by a task", b"by a task"])
    assert metrics.registry.get_sample_value("tailorbird_in_flight_requests") == 0
    assert answered(metrics, 200, "/later") == 2


def test_a_connection_is_kept_for_a_promised_answer_however_long_it_takes(run, later):
    async def client(connect, server):
        reader, writer = await connect()
        writer.write(LATER)
        await later.asked()
        others = [await connect() for _ in range(3)]  # of which the first has to make room
        await others[0][0].read()
        later.keep()
        return [(await ask(reader, writer, b""))[1], (await ask(reader, writer))[1]]

    assert run(client, keep_alive=0.1, connections=3, receive=0.1) == [b"by a thread", b"at once"]


def test_a_client_that_leaves_before_a_promised_answer_is_counted(run, later, metrics, caplog):
    async def client(connect, server):
        _, writer = await connect()
        writer.write(LATER)
        await later.asked()
        writer.close()
        while server.server_state.connections:
            await asyncio.sleep(0.01)
        later.keep()
        while server.server_state.tasks:
            await asyncio.sleep(0.01)

    run(client)
    assert answered(metrics, 200, "/later") == 1
    assert not caplog.text


@pytest.mark.parametrize("grace", [None, 0.2])
def test_a_promised_answer_is_waited_for_when_the_server_stops(run, later, metrics, grace):
    async def client(connect, server):
        reader, writer = await connect()
        writer.write(LATER)
        await later.asked()
        server.should_exit = True
        while server.servers[0].is_serving():
            await asyncio.sleep(0.01)
        if grace is None:
            later.keep()
        return await ask(reader, writer, b""), await reader.read()

    (head, body), rest = run(client, stopping=True, grace=grace)
    assert b"connection: close\r\n" in head and rest == b""
    assert (b"by a thread" if grace is None else b"the server stopped before the answer was ready") in body
    assert answered(metrics, 503 if grace else 200, "/later") == 1
    assert metrics.registry.get_sample_value("tailorbird_shed_total", {"reason": "stopping"}) == (1 if grace else 0)


def test_a_promise_that_fails_is_answered_and_what_fails_after_it_ends_the_connection(run, later, caplog):
    async def client(connect, server):
        reader, writer = await connect()
        writer.write(LATER)
        await later.asked()
        later.results[-1].set_exception(RuntimeError("the runtime is broken"))
        head, _ = await ask(reader, writer, b"")
        later.finish = lambda body: Answer(body, afterwards=lambda: 1 / 0)
        writer.write(LATER)
        await later.asked(2)
        later.keep()
        return head, (await ask(reader, writer, b""))[1], await reader.read()

    head, body, rest = run(client)
    assert head.startswith(b"HTTP/1.1 500 ")
    assert (body, rest) == (b"by a thread", b"")
    assert "the runtime is broken" in caplog.text and "ZeroDivisionError" in caplog.text


def test_a_target_that_is_no_url_is_told(run):
    async def client(connect, server):
        return await ask(*await connect(), b"GET http://without-a-path HTTP/1.1\r\nHost: x\r\n\r\n")

    head, body = run(client)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"the request's target is not a URL" in body


END = b"2\r\n[]\r\n0\r\n"
LONG = b"X-A: " + b"a" * 70_000 + b"\r\n"
MANY = b"X-A: b\r\n" * 9000


@pytest.mark.parametrize(
    ("pieces", "route"),
    [
        ([GET.replace(b"Host", LONG + b"Host")], "other"),
        ([GET.replace(b"Host", MANY + b"Host")], "other"),
        ([GET.replace(b"/quick", b"/" + b"a" * 70_000)], "other"),
        ([GET + GET.replace(b"Host", LONG + b"Host")], "other"),
        ([CHUNKED + END + LONG + b"\r\n"], "/whole"),
        ([CHUNKED + END + MANY, b"\r\n"], "/whole"),
        ([CHUNKED + END + b"X-A: ", *[b"a" * 20_000] * 20], "/whole"),
    ],
    ids=["field", "fields", "target", "second head", "trailer", "trailers", "trailer without an end"],
)
def test_too_large_a_head_or_trailer_is_refused_however_it_comes(run, metrics, pieces, route):
    async def client(connect, server):
        reader, writer = await connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        return await reader.read()

    assert run(client).count(b"HTTP/1.1 431 ") == 1
    assert answered(metrics, 431, route) == 1


def test_large_bodies_around_heads_are_not_taken_for_heads(run):
    async def client(connect, server):
        reader, writer = await connect()
        chunk = b"%x\r\n%b\r\n0\r\nX-A: b\r\n\r\n" % (200_000, bytes(200_000))
        writer.write((CHUNKED + chunk) * 2 + GET)
        return [(await ask(reader, writer, b""))[1] for _ in range(3)]

    assert run(client) == [b"read", b"read", b"by a task"]


def test_trailers_are_no_headers(run):
    async def client(connect, server):
        return await ask(*await connect(), CHUNKED + END + b"X-Request-Id: late\r\n\r\n")

    head, body = run(client)
    assert body == b"read" and b"late" not in head


def test_any_number_of_offers_of_h2c_is_ignored(run):
    offer = GET.replace(b"Host: x", b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c")

    async def client(connect, server):
        reader, writer = await connect()
        writer.write(offer * 1200)
        return [(await ask(reader, writer, b""))[1] for _ in range(1200)]

    assert len(run(client)) == 1200


def test_connect_is_refused(run):
    async def client(connect, server):
        reader, writer = await connect()
        return await ask(reader, writer, b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n"), await reader.read()

    (head, body), rest = run(client)
    assert head.startswith(b"HTTP/1.1 400 ") and rest == b""
    assert b"CONNECT is for proxies" in body


def test_what_fails_after_an_answer_is_logged_and_ends_the_connection(run, caplog):
    async def client(connect, server):
        reader, writer = await connect()
        answer = await ask(reader, writer, GET.replace(b"/quick", b"/defect"))
        return answer[1], await reader.read()

    assert run(client) == (b"at once", b"")
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("pieces", [[CHUNKED + b"zz\r\n"], [CHUNKED, b"zz\r\n"], [CHUNKED + b"2\r\n[1\r\n", b"zz\r\n"]])
def test_a_body_that_breaks_off_in_a_chunk_is_answered(run, pieces):
    async def client(connect, server):
        reader, writer = await connect()
        for piece in pieces[:-1]:
            writer.write(piece)
            await asyncio.sleep(0.05)
        head, body = await ask(reader, writer, pieces[-1])
        assert await reader.read() == b""  # and closed
        return head, body

    head, body = run(client)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"the request is not HTTP" in body
