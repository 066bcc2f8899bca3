"""An HTTP request for handlers."""

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class ClientLeft(Exception):
    """The client closed its connection before its request was complete."""


class Request:
    """`headers` by lower-case name, the last one if repeated; `id` is the client's if that is valid."""

    __slots__ = ("_receive", "_scope", "headers", "id", "method", "path")

    def __init__(
        self,
        method: str,
        path: str,
        headers: dict[bytes, bytes],
        scope: Scope | None = None,
        receive: Receive | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.id = _identify(headers)
        self._scope = scope
        self._receive = receive

    async def chunk(self) -> tuple[bytes, bool]:
        """The next chunk of the body, and whether more follows; raises ClientLeft, or Problem 408 or 400."""
        if self._scope is None or self._receive is None:
            return b"", False
        message = await self._receive()
        problem = self._scope.get("state", {}).get("problem")
        if problem is not None:
            raise problem
        if message["type"] == "http.disconnect":
            raise ClientLeft
        return message.get("body", b""), message.get("more_body", False)


def of_scope(scope: Scope, receive: Receive) -> Request:
    return Request(scope["method"], scope["path"], dict(scope["headers"]), scope, receive)


def new_id() -> str:
    """128 random bits, so that ids are unique."""
    return os.urandom(16).hex()


def _identify(headers: dict[bytes, bytes]) -> str:
    sent = headers.get(b"x-request-id")
    return sent.decode() if sent is not None and _ID.fullmatch(sent) else new_id()
