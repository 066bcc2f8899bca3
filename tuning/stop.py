"""Ctrl-C, SIGTERM and SIGHUP during a sweep."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE = 3
"""This many signals end the process at once; earlier ones after the first are ignored while it stops."""


class Stop:
    """Turns signals into a KeyboardInterrupt, raised where that is safe.

    SIGTERM, which `ray job stop` and Kubernetes send, and SIGHUP, which a closed terminal sends, count as Ctrl-C does.
    While Tune searches nothing may be raised: an exception that comes up inside Ray's C++ code aborts the process. Tune
    ends its loop on SIGUSR1.
    """

    def __init__(self) -> None:
        self._signals = 0
        self._searching = False
        self._committing = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch all of them; Ctrl-C too, which a shell has background jobs ignore, but not the SIGHUP of nohup."""
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
    def searching(self) -> Iterator[None]:
        """Around Tune's loop; raises KeyboardInterrupt after it where a signal came."""
        before = signal.signal(signal.SIGUSR1, _interrupt)  # until Tune sets its own
        self._searching = True
        try:
            yield
        finally:
            self._searching = False
            signal.signal(signal.SIGUSR1, before)
        if self._signals:
            raise KeyboardInterrupt

    def cancel(self) -> None:
        """End Tune's loop, if it runs, from another thread."""
        if self._searching:
            os.kill(os.getpid(), signal.SIGUSR1)

    def commit(self) -> None:
        """The last short step begins: a signal comes too late for it, and is let go by."""
        self._committing = True

    def _on_signal(self, *_: object) -> None:
        if self._committing:
            return
        self._signals += 1
        if self._signals == 1 and self._searching:
            signal.raise_signal(signal.SIGUSR1)
        elif self._signals in (1, PATIENCE):
            raise KeyboardInterrupt
        elif self._signals < PATIENCE:
            with suppress(OSError):  # of a terminal that was closed
                print("stopping: waiting for running trials to end", file=sys.stderr)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
