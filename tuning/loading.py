"""Loading in a background thread."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Loading(Generic[T]):
    """Runs a function on a daemon thread."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._result: T
        self._error: BaseException | None = None
        self._ended = threading.Event()  # since Thread.join, interrupted by a signal, takes the thread for ended
        threading.Thread(target=self._run, daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Wait for a moment; raises the function's error if it has failed by then."""
        self._ended.wait(seconds)
        if self._error:
            raise self._error

    def result(self) -> T:
        """The function's result, once it is there; raises its error."""
        while not self._ended.wait(0.2):  # with a time-out, so that signals are handled
            pass
        if self._error:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._load()
        except BaseException as error:  # of any kind: it is raised again in `result`
            self._error = error
        finally:
            self._ended.set()
