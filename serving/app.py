"""The ASGI application: our routes, handled in one place, and BentoML's own application behind them.

It uses no router, middleware or request objects of a framework: they would take longer than most models do.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from serving import problems
from serving.answers import Answer, Promise
from serving.metrics import OTHER, Metrics
from serving.problems import Problem, Shed
from serving.requests import ClientLeft, Receive, Request, Scope, Send, of_scope

logger = logging.getLogger(__name__)

CLIENT_LEFT = 499
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Route:
    """The handler of a path, and its methods; `open` routes need no token.

    `inline` may answer, or return a future answer, without awaiting, once the body is read; None leaves the request to
    `handler`.
    """

    methods: tuple[str, ...]
    handler: Callable[[Request], Awaitable[Answer]]
    open: bool = False
    inline: Callable[[Request, bytes], Answer | Promise | None] | None = None


class Application:
    """Answers every request; paths in `behind` are answered by another application, with the same headers and metrics.

    While it is `stopping`, every response asks the client to reconnect, perhaps to another server.
    """

    def __init__(
        self,
        routes: dict[str, Route],
        behind: dict[str, ASGI],
        lifespan: ASGI,
        metrics: Metrics,
        token: str | None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.metrics = metrics
        self.inline_paths = {path.encode() for path, route in routes.items() if route.inline}
        self.stopping = stopping
        self._routes = routes
        self._behind = behind
        self._lifespan = lifespan
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    def answer_inline(self, request: Request, body: bytes, started: float) -> Answer | Promise | None:
        """The response to a complete request of a path in `inline_paths`, if it needs no task.

        `started` is when its head began, by the monotonic clock. `keep` keeps what is promised.
        """
        route = self._routes[request.path]
        if request.method not in route.methods or route.inline is None:
            return None
        answer: Answer | Promise | None
        try:
            if self._token is not None and not route.open:
                _authorise(request, self._token)
            answer = route.inline(request, body)
        except Exception as error:
            answer = self._explained(error, request)
        if isinstance(answer, Answer):
            self.metrics.answered(request.path, answer.status, time.monotonic() - started)
        elif answer is not None:
            self.metrics.in_flight.inc()
        return answer

    def keep(self, promise: Promise, request: Request, started: float) -> Answer:
        """The answer that was promised, whose result is there, or was given up at a stop."""
        try:
            answer = promise.finish(promise.result.result())
        except (Exception, asyncio.CancelledError) as error:
            answer = self._explained(error, request)
        self.metrics.in_flight.dec()
        self.metrics.answered(request.path, answer.status, time.monotonic() - started)
        return answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        request = of_scope(scope, receive)
        route = self._routes.get(request.path)
        uncounted: int | None = CLIENT_LEFT
        self.metrics.in_flight.inc()

        def count(status: int) -> None:
            self.metrics.answered(OTHER if route is None else request.path, status, time.monotonic() - started)

        try:
            answer = await self._handle(route, request)
            if answer is None:
                uncounted = await _pass_on(self._behind[request.path], request, scope, receive, send)
            else:
                lines = headers(answer, request.id)
                if self.stopping():
                    lines.append((b"connection", b"close"))
                # before it is sent, so that every answered request is counted, even if this process dies
                count(answer.status)
                uncounted = None
                await send({"type": "http.response.start", "status": answer.status, "headers": lines})
                await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})
                if answer.afterwards is not None:
                    answer.afterwards()
        except ClientLeft:
            pass
        finally:
            self.metrics.in_flight.dec()
            if uncounted is not None:
                count(uncounted)

    async def _handle(self, route: Route | None, request: Request) -> Answer | None:
        """The response, which may be a problem; None if the application behind answers."""
        try:
            if self._token is not None and not (route is not None and route.open):
                _authorise(request, self._token)
            if route is None:
                if request.path in self._behind:
                    return None
                raise problems.unknown_route()
            if request.method not in route.methods:
                raise problems.wrong_method(", ".join(route.methods))
            return await route.handler(request)
        except ClientLeft:
            raise
        except asyncio.CancelledError as error:
            if not self.stopping():
                raise
            return self._explained(error, request)
        except Exception as error:
            return self._explained(error, request)

    def _explained(self, error: BaseException, request: Request) -> Answer:
        """The response to a request whose handling raised an error."""
        if isinstance(error, asyncio.CancelledError):
            error = Shed("stopping", "the server stopped before the answer was ready; try again")
        if isinstance(error, Shed):
            self.metrics.shed.labels(error.reason).inc()
        if isinstance(error, Problem):
            return error.answer(request.id)
        logger.error("request %s failed", request.id, exc_info=error)
        return problems.defect().answer(request.id)


def headers(answer: Answer, request_id: str) -> list[tuple[bytes, bytes]]:
    """In the form of ASGI."""
    lines = [
        (b"content-type", answer.media_type.encode()),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode()),
    ]
    if answer.headers:
        lines += [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    return lines


async def _pass_on(app: ASGI, request: Request, scope: Scope, receive: Receive, send: Send) -> int:
    status = 500

    async def sending(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", request.id.encode())]
        await send(message)

    await app(scope, receive, sending)
    return status


def _authorise(request: Request, token: bytes) -> None:
    scheme, _, credentials = request.headers.get(b"authorization", b"").partition(b" ")
    if not (hmac.compare_digest(credentials.strip(b" "), token) and scheme.lower() == b"bearer"):
        raise problems.unauthorised()
