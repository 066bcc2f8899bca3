"""uvicorn's HTTP/1.1 protocol, with limits of time and size, problem responses, and fast paths added.

BentoML's worker creates its uvicorn server after the application, with the protocol named "auto": `install` replaces it
by ours. Uvicorn has no deadline for receiving, accepts 80 MB of headers, and loses the body of a request that asks for
h2c, as the JDK's client does (its issue 2722).
"""

import asyncio
import logging
import time
from typing import Any

import httptools
import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving import descriptors, heads
from serving.answers import Answer, Promise
from serving.app import Application
from serving.flow import Flow, Outlet, Promised
from serving.metrics import OTHER
from serving.problems import Problem
from serving.requests import Request, new_id
from serving.responses import response

logger = logging.getLogger(__name__)

HEAD_SECONDS = 10
"""Seconds that a head may take, and that a new connection may be silent."""
QUIET_SECONDS = 0.5
"""Seconds that a connection must be idle to be closed at a stop, so that active clients are still answered."""
UNREAD_SECONDS = 5
"""Seconds that a client may leave its answers unread at a stop."""
DISCARDED_BYTES = 128 * 2**20
"""Bytes that are read of a request after its answer."""
INLINE_BYTES = 256 * 1024
"""Bodies up to this size are collected, and answered without a task if the route can do that."""


class Protocol(HttpToolsProtocol):
    """One connection of an application, whose class attributes `install` sets."""

    application: Application
    receive_seconds: float
    keep_alive_seconds: float
    most_connections: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = self.application  # without uvicorn's wrappers
        self._head_seconds = min(HEAD_SECONDS, self.receive_seconds)
        self.last_event = time.monotonic()
        self._fresh = True
        self._receiving = False
        self._early = False
        self._lingering = False
        self._discarded = 0
        self._in_head = False
        self._read_bytes = self._first_bytes = 0
        self._field_bytes: int | None = None  # received in a head, or in a body's trailers, since its first bytes
        self._collected: list[bytes] | None = None
        self._offered = self._quiet = False

    # incoming data

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow: Flow = Flow(transport, self.pipeline)
        self._outlet = Outlet(transport, self._close)
        if len(self.connections) > self.most_connections:
            self._make_room()

    def connection_lost(self, error: Exception | None) -> None:
        self._hand_on()  # for the count of disconnected clients
        super().connection_lost(error)

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest."""
        waiting = [
            connection
            for connection in self.connections
            if isinstance(connection, Protocol) and not connection.being_answered
        ]
        min(waiting, key=lambda connection: connection.last_event, default=self).transport.close()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._early:
            self._discarded += len(data)
            if self._discarded > DISCARDED_BYTES:
                self.transport.close()
            if self._lingering or self.transport.is_closing():
                return
        if self._field_bytes is not None:
            if self._field_bytes > heads.MAX_HEAD_BYTES:
                self._refuse(heads.too_large())
                return
            self._field_bytes += len(data)
        while True:
            self._read_bytes = len(data)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() != b"CONNECT":
                    data = self._without_offer() + data[upgrade.args[0] :]
                    continue
                self._refuse(Problem(400, "the request's method CONNECT is for proxies"))  # it is an offer by itself
            except httptools.HttpParserCallbackError as error:
                self._fail(error.__context__)
            except httptools.HttpParserError as error:
                self._refuse(Problem(400, f"the request is not HTTP: {error}"))
            return

    def _fail(self, error: BaseException | None) -> None:
        """Refuse too large fields, or a target that is no URL; other errors are bugs, and end the connection."""
        if isinstance(error, Problem):
            self._refuse(error)
        elif heads.is_url(self.url):
            logger.error("a connection failed", exc_info=error)
            self.transport.close()  # without a response: one may have been sent
        else:
            self._refuse(Problem(400, "the request's target is not a URL"))

    def _without_offer(self) -> bytes:
        """Ignore a request's offer of another protocol: the parser would take its body for that protocol."""
        head = heads.without_offer(self.parser.get_method(), self.url, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self._offered = False
        return head

    def _should_upgrade(self) -> bool:
        return False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.last_event = time.monotonic()
        self._fresh = False
        self._receiving = True
        self._in_head = True
        self._field_bytes, self._first_bytes = 0, self._read_bytes

    def _end_fields(self, target: bytes = b"") -> None:
        """Raise Problem 431 for too large a head or trailers, which are measured where they may be that."""
        if self._field_bytes is not None and self._field_bytes + self._first_bytes > heads.MAX_HEAD_BYTES:
            heads.check_size(target, self.headers)
        self._field_bytes = None

    def on_headers_complete(self) -> None:
        self._end_fields(self.url)
        self._offered = self.parser.should_upgrade()
        if self._offered:
            return
        self._in_head = False
        # a task waits until the client has read earlier answers, and later requests wait for it
        if self.being_answered or self.flow.write_paused or not self._short():
            self._begin()
        else:
            self._collected = []

    def on_chunk_header(self) -> None:
        self._field_bytes, self._first_bytes = 0, self._read_bytes  # of trailers, if this is the last chunk

    def on_body(self, body: bytes) -> None:
        if self._collected is None:
            self._field_bytes = None
            super().on_body(body)
        else:
            self._collected.append(body)

    def on_message_complete(self) -> None:
        if self._offered:
            return
        if self._field_bytes is not None:
            self._end_fields()
        self._receiving = self._early = False
        if self._collected is None:
            super().on_message_complete()
            return
        body, self._collected = b"".join(self._collected), None
        request = Request(self.parser.get_method().decode(), self.url.decode(), dict(self.headers))
        answer = self.application.answer_inline(request, body, self.last_event)
        if answer is None:
            self._collected = [body]
            self._hand_on()
            super().on_message_complete()
            return
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        if isinstance(answer, Answer):
            self._send(answer, request.id, keep_alive)
            self.server_state.total_requests += 1
        else:
            self._wait(answer, request, keep_alive)

    def _short(self) -> bool:
        """Whether the request may be answered without a task: it will be complete soon, and its route can do that."""
        if self.expect_100_continue or self.url not in self.application.inline_paths:
            return False
        for name, value in self.headers:
            if name == b"content-length":
                return len(value) < 7 and int(value) <= INLINE_BYTES
        return False

    def _hand_on(self) -> None:
        """Hand a request that was to be answered without a task to one, with the data received so far."""
        if self._collected is not None:
            body, self._collected = b"".join(self._collected), None
            self._begin()
            self.cycle.body += body

    def _begin(self) -> None:
        """Begin a request's task."""
        super().on_headers_complete()
        self.cycle.transport = self._outlet  # type: ignore[assignment]
        self.headers = []  # for trailers, which are not used

    # responses without a task

    def _send(self, answer: Answer, request_id: str, keep_alive: bool) -> None:
        closing = not keep_alive or self.application.stopping()
        if not self.transport.is_closing():  # by a client that left
            self._write(answer, request_id, closing)
        if answer.afterwards is not None:
            answer.afterwards()
        self.last_event = time.monotonic()
        if closing:
            self._close()

    def _wait(self, promise: Promise, request: Request, keep_alive: bool) -> None:
        """Send an answer when it is there; requests that come meanwhile wait, and at a stop uvicorn waits for it."""
        self.cycle = promised = Promised()  # type: ignore[assignment]
        self.tasks.add(promise.result)  # type: ignore[arg-type]
        started = self.last_event

        def send(result: "asyncio.Future[Any]") -> None:
            self.tasks.discard(result)
            answer = self.application.keep(promise, request, started)
            promised.response_complete = True
            try:
                self._send(answer, request.id, keep_alive)
                self.on_response_complete()
            except Exception:
                logger.exception("a connection failed")
                self.transport.close()

        promise.result.add_done_callback(send)

    def _refuse(self, problem: Problem) -> None:
        """Answer a malformed request, unless it is already answered, and close."""
        if self._early:
            self._close()
            return
        if self.being_answered and self.cycle.more_body and not self.cycle.response_started:
            self._hand_over(problem)
            return
        if self.being_answered:
            self.transport.close()
            return
        request_id = new_id()
        self._write(problem.answer(request_id), request_id, closing=True)
        self.application.metrics.answered(OTHER, problem.status, time.monotonic() - self.last_event)
        self._receiving = True  # whatever follows
        self._close()

    def _close(self) -> None:
        """Close after an answer; what is still being received is read before, or it would reset the connection."""
        if not self._receiving:
            self.transport.close()
        elif not self.transport.is_closing():
            self._lingering = self._early = True
            self.last_event = time.monotonic()
            self.pipeline.clear()
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.flow.resume_reading()

    def _write(self, answer: Answer, request_id: str, closing: bool) -> None:
        self.transport.write(response(answer, request_id, closing, self.server_state.default_headers))

    # time-outs

    def on_response_complete(self) -> None:
        self.last_event = time.monotonic()
        in_body = self._receiving and not self._in_head and self._collected is None
        if in_body and self.cycle.response_complete and not self._early:  # or another request is being received
            self._early, self._discarded = True, 0
        super().on_response_complete()
        self._unset_keepalive_if_required()  # `sweep` does that

    def look_at_clock(self, now: float) -> None:
        """Close a connection that is idle, or not read from, for too long; answer 408 to an incomplete request."""
        if self.flow.stalled(now) > self.keep_alive_seconds:
            self.transport.abort()  # `close` would wait for what is unsent
        if self.transport.is_closing():
            return
        waited = now - self.last_event
        if self._early:
            if waited > self.receive_seconds:
                self.transport.close()
        elif self.idle:
            if waited > (self._head_seconds if self._fresh else self.keep_alive_seconds):
                self.transport.close()
        elif self._in_head and waited > self._head_seconds:
            self._refuse(Problem(408, f"the request's head did not come within {self._head_seconds:g} s"))
        elif self._receiving and waited > self.receive_seconds:
            self._hand_on()
            self._hand_over(Problem(408, f"the request did not come within {self.receive_seconds:g} s"))

    def _hand_over(self, problem: Problem) -> None:
        """Let the application, which waits for the rest of a body, answer 408; then close the connection."""
        self.cycle.scope["state"]["problem"] = problem
        self.cycle.keep_alive = False
        self.cycle.message_event.set()

    @property
    def being_answered(self) -> bool:
        """Whether the application is handling a request."""
        return self.cycle is not None and not self.cycle.response_complete

    def shutdown(self) -> None:
        """Close once nothing is being received or answered, and nothing has been for a while.

        Uvicorn waits for tasks: those that are not done when it gives up answer 503.
        """
        self._hand_on()
        rest = self.last_event + QUIET_SECONDS - (now := time.monotonic())
        quiet = (self.idle or self._early) and rest <= 0
        if self.flow.stalled(now) > UNREAD_SECONDS:
            self.transport.abort()
        elif quiet and self._quiet:
            self.transport.close()
        self._quiet = quiet  # close only if quiet at two checks in a row: a busy machine may leave a request unread
        if self in self.connections:
            self.loop.call_later(max(rest, 0.1), self.shutdown)

    @property
    def idle(self) -> bool:
        """Whether no request is being received or answered."""
        return not self._receiving and not self.being_answered


def install(application: Application, receive_seconds: float, keep_alive_seconds: float) -> None:
    """Let uvicorn use `Protocol` in this process from now on."""
    members = {
        "most_connections": descriptors.most_connections(),
        "application": application,
        "receive_seconds": receive_seconds,
        "keep_alive_seconds": keep_alive_seconds,
    }
    uvicorn.config.HTTP_PROTOCOLS["auto"] = type("Protocol", (Protocol,), members)  # type: ignore[assignment]
