"""Ctrl-C, SIGTERM and SIGHUP during a sweep."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE = 3
"""This many signals end the process at once; the ones between the first and the last are ignored."""


class Stop:
    """Turns signals into a KeyboardInterrupt, raised where that is safe.

    SIGTERM, which `ray job stop` and Kubernetes send, and SIGHUP, which a closed terminal sends, are treated like
    Ctrl-C. While Ray starts nothing may be raised: an exception could leave a lock held, or be lost. Neither while Tune
    searches: an exception inside Ray's C++ code aborts the process. Tune ends its loop on SIGUSR1.
    """

    def __init__(self) -> None:
        self._signals = 0
        self._starting = False
        self._searching = False
        self._committing = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch all of them: Ctrl-C even if a shell made it ignored, SIGHUP only if nohup did not."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Wraps the start of Ray; raises KeyboardInterrupt after it if a signal was received."""
        self._starting = True
        try:
            yield
        finally:
            self._starting = False
        if self._signals:
            raise KeyboardInterrupt

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Wraps Tune's loop; raises KeyboardInterrupt after it if a signal was received."""
        before = signal.signal(signal.SIGUSR1, _interrupt)  # until Tune sets its own handler
        self._searching = True
        try:
            yield
        finally:
            self._searching = False
            signal.signal(signal.SIGUSR1, before)
        if self._signals:
            raise KeyboardInterrupt

    def cancel(self) -> None:
        """End Tune's loop, if it is running, from another thread."""
        if self._searching:
            os.kill(os.getpid(), signal.SIGUSR1)

    def commit(self) -> None:
        """Ignore signals from here on: the last, short step is finished in any case."""
        self._committing = True

    def _on_signal(self, *_: object) -> None:
        if self._committing:
            return
        self._signals += 1
        waits = self._starting or self._searching
        if self._signals < PATIENCE and (waits or self._signals > 1):
            with suppress(OSError):  # the terminal was closed
                print(f"stopping: waiting for {self._awaited}", file=sys.stderr)
        if self._signals == 1 and self._searching:
            signal.raise_signal(signal.SIGUSR1)
        elif self._signals == PATIENCE or (self._signals == 1 and not waits):
            raise KeyboardInterrupt

    @property
    def _awaited(self) -> str:
        if self._starting:
            return "Ray to start"
        return "the workers to stop" if self._searching else "the sweep to close"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
