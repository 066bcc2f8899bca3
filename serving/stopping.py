"""The graceful stop of a worker: /readyz fails at once, the listener stays open for a while, and no request is lost.

It delays the signal for uvicorn, which would close its listener at once, and its idle connections too, even if a
request is on its way in one of them. If only this worker was signalled, the listening socket, which workers share,
stays open for the others.
"""

import asyncio
import os
import signal
import socket
from types import FrameType

import uvicorn

from serving import clock, signals
from serving.endpoint import Endpoint
from serving.listening import HANDSHAKE_SECONDS, last_connections, refuse_handshakes

LOOKS, LOOK_SECONDS = 10, 0.1


class Stop:
    """Created in the main thread, where uvicorn's event loop runs; in other threads it does not touch signals."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._parent = os.getppid()
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        self._server = server if isinstance(server, uvicorn.Server) else None
        if self._server is not None:
            for number in signals.heeded():
                signal.signal(number, self._hear)
            if self._server.should_exit:  # the signal came while the model was loaded
                self._server.should_exit = False
                self._hear(self._server._captured_signals[-1], None)

    async def watch(self) -> None:
        """Close connections that take too long, until cancelled."""
        if self._server is not None:
            await clock.sweep(self._server.server_state.connections)

    def _hear(self, number: int, _: FrameType | None) -> None:
        again, self._endpoint.stopping = self._endpoint.stopping, True
        if not again:
            # after Ctrl-C nobody wants to wait until clients have noticed
            seconds = 0 if number == signal.SIGINT else self._endpoint.settings.drain_seconds
            self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self._begin_end)
        elif number == signal.SIGINT and self._server is not None:
            self._server.force_exit = True

    def _begin_end(self) -> None:
        self._ending = self._loop.create_task(self._end())

    async def _end(self) -> None:
        assert self._server is not None  # noqa: S101 - only its signals lead here
        all_end = await self._all_end()
        shared = [
            socket.socket(fileno=os.dup(listening.fileno()))
            for listener in self._server.servers
            for listening in (listener.sockets if all_end else ())
        ]
        for listening in shared:
            refuse_handshakes(listening)
        if shared:
            await asyncio.sleep(HANDSHAKE_SECONDS)
        for listener in self._server.servers:
            listener.close()
        for listening in shared:
            with listening:
                for connection in last_connections(listening):
                    await self._loop.connect_accepted_socket(self._protocol, connection)
        self._server.should_exit = True

    async def _all_end(self) -> bool:
        """Whether the whole server was signalled, and not this worker alone; both may be at the same time."""
        running = self._endpoint.folder / signals.RUNNING
        for _ in range(LOOKS):
            if not running.exists() or os.getppid() != self._parent:
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    def _protocol(self) -> asyncio.Protocol:
        server = self._server
        assert server is not None  # noqa: S101
        return server.config.http_protocol_class(  # type: ignore[call-arg]
            config=server.config, server_state=server.server_state, app_state=server.lifespan.state
        )
