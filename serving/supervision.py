"""Extensions of circus, the process manager with which BentoML starts its workers."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bentoml._internal.utils import circus as bentoml_circus
from circus.sighandler import SysHandler

from serving import signals
from serving.standin import Standin

CHECK_SECONDS = 1
"""Seconds between checks for dead workers; with BentoML's 10 a single worker would be missing that long."""


@contextmanager
def adjusted(folder: Path) -> Iterator[None]:
    """Restart dead workers soon, stop on SIGHUP, and let the stand-in answer while there is no worker.

    `folder` is the server's.
    """
    make, hang_up = bentoml_circus.create_standalone_arbiter, SysHandler.handle_hup
    arbiters: list[Any] = []

    def adjusted_arbiter(watchers: Any, **options: Any) -> Any:
        arbiters.append(make(watchers, **options | {"check_delay": CHECK_SECONDS}))
        return arbiters[-1]

    def listener() -> socket.socket | None:
        sockets = [shared for arbiter in arbiters for shared in arbiter.sockets.values()]
        return sockets[0] if sockets and sockets[0].fileno() >= 0 else None

    standin = Standin(folder, listener)
    stops = signal.SIGHUP in signals.heeded()
    bentoml_circus.create_standalone_arbiter = adjusted_arbiter
    SysHandler.handle_hup = SysHandler.handle_term if stops else SysHandler.handle_winch  # a no-op
    standin.start()
    try:
        yield
    finally:
        standin.stop()
        bentoml_circus.create_standalone_arbiter, SysHandler.handle_hup = make, hang_up
