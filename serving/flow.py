"""Flow control of a connection: a client is not read from while it does not read its answers."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """uvicorn's, which resumes reading whatever waits to be written; `waiting` are requests read but not yet begun."""

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting
        self._unsent = 0
        self._moved = time.monotonic()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.resume_reading()

    def resume_reading(self) -> None:
        if not (self.write_paused or self._waiting or self._transport.is_closing()):
            super().resume_reading()

    def stalled(self, now: float) -> float:
        """Seconds, as far as seen by calls, for which the client has not read what waits to be sent."""
        unsent = self._transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._moved = unsent, now
        return now - self._moved


class Outlet:
    """A transport as requests' tasks see it: `close` is the connection's, which may have to read on before."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class Promised:
    """Stands for a request whose answer is promised where uvicorn has a cycle of its own for a task's."""

    message_event = asyncio.Event()
    more_body = response_started = response_complete = disconnected = False
