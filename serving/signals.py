"""Signals during the start of BentoML's server, which listens for them only late in it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)
RETRY_SECONDS = 0.05


@contextmanager
def kept() -> Iterator[None]:
    """Within, SIGTERM and SIGINT are noted, and handed to whoever sets a handler for them, now or later.

    Nothing is raised out of a handler: an exception there may come up in a callback that swallows it, and the server
    would start all the same.
    """
    came, over = threading.Event(), threading.Event()

    def note(_: int, __: FrameType | None) -> None:
        came.set()

    def hand_on() -> None:
        came.wait()
        while signal.getsignal(signal.SIGTERM) is note:
            if over.wait(RETRY_SECONDS):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    before = {number: signal.signal(number, note) for number in STOPPING}
    threading.Thread(target=hand_on, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)
