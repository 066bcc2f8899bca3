"""What every request gets, whatever its route: an id, the check of its token, its time counted, and no bare error."""

import hmac
import logging
import re
import secrets
import time
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.metrics import OTHER, Metrics
from serving.problems import Problem

logger = logging.getLogger(__name__)

HEALTH = ("/livez", "/readyz")
CLIENT_LEFT = 499
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


class Envelope:
    """ASGI middleware around the routes; `paths` are those that metrics name."""

    def __init__(self, app: ASGIApp, paths: Collection[str], metrics: Metrics, token: str | None) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._metrics = metrics
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            if self._authorised(scope["path"], headers):
                await self._app(scope, receive, sending)
            else:
                await _unauthorised().response(request_id)(scope, receive, sending)
        except ClientDisconnect:
            pass
        except Exception:
            logger.exception("request %s failed", request_id)
            if status:  # half an answer is out: the server closes the connection
                raise
            await _failed().response(request_id)(scope, receive, sending)
        finally:
            route = scope["path"] if scope["path"] in self._paths else OTHER
            self._metrics.answered(route, status or CLIENT_LEFT, time.perf_counter() - started)

    def _authorised(self, path: str, headers: Headers) -> bool:
        if self._token is None or path in HEALTH:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        sent = given.strip(" ").encode("latin-1")  # the very bytes of the header
        return hmac.compare_digest(sent, self._token) and scheme.lower() == "bearer"


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _unauthorised() -> Problem:
    return Problem(
        401,
        "accepted: a header `Authorization: Bearer TOKEN` with the token of this endpoint",
        {"WWW-Authenticate": "Bearer"},
    )


def _failed() -> Problem:
    return Problem(500, "the request could not be answered; the log has the reason under this instance")
