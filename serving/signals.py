"""Signals that stop a server, repeated until it stops.

BentoML's process manager listens for signals only late in its start, and drops those that arrive while it starts or
checks workers: a signal that is sent once would be lost.
"""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
REPEAT_SECONDS = 0.5
RUNNING = "running"
"""A file in the server's folder until a signal stops it, by which a worker knows whether it was signalled alone."""


def heeded() -> tuple[signal.Signals, ...]:
    """The signals that stop this process: not SIGHUP if it was started by `nohup`, which ignores it."""
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return STOPPING[:-1] if nohup else STOPPING


@contextmanager
def repeated(folder: Path) -> Iterator[None]:
    """Within, the signals that stop have no effect by themselves, but after the first one SIGTERM is sent repeatedly.

    So a handler that is set later still gets a signal that came before. The first one also removes the file RUNNING
    from the server's folder. Only the main thread can enter.
    """
    numbers = heeded()
    running = folder / RUNNING
    running.touch()
    over = threading.Event()
    heard, wakeup = socket.socketpair()
    wakeup.setblocking(False)

    def repeat() -> None:
        while received := heard.recv(1):
            if received[0] in numbers:
                running.unlink(missing_ok=True)
                break
        while received and not over.wait(REPEAT_SECONDS):
            os.kill(os.getpid(), signal.SIGTERM)

    # the interpreter writes each signal to it, whichever handler is set
    wakeup_before = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    handlers_before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    repeating = threading.Thread(target=repeat, daemon=True)
    repeating.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(wakeup_before)
        wakeup.close()
        repeating.join()
        heard.close()
        for number, handler in handlers_before.items():
            signal.signal(number, handler)
