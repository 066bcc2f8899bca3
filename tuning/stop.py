"""Ctrl-C and SIGTERM during a sweep."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Turns signals into a KeyboardInterrupt, raised where that is safe.

    SIGTERM, which `ray job stop` and Kubernetes send, counts as Ctrl-C does. While Tune searches nothing may be
    raised: an exception that comes up inside Ray's C++ code aborts the process. Tune ends its loop on SIGUSR1.
    """

    def __init__(self) -> None:
        self._requested = False
        self._searching = False
        self._committing = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch both signals; Ctrl-C too, since a shell starts background jobs with it ignored."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
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
        if self._requested:
            raise KeyboardInterrupt

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Around the last short step: a signal comes too late for it, and is let go by."""
        self._committing = True
        yield

    def _on_signal(self, *_: object) -> None:
        if self._committing:
            return
        if not self._searching or self._requested:
            raise KeyboardInterrupt
        self._requested = True
        signal.raise_signal(signal.SIGUSR1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
