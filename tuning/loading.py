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
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for a moment; raises the function's error if it has failed by then."""
        self._thread.join(seconds)
        if self._error:
            raise self._error

    def result(self) -> T:
        """The function's result, once it is there; raises its error."""
        while self._thread.is_alive():
            self._thread.join(0.2)  # with a time-out, so that signals are handled
        if self._error:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._load()
        except BaseException as error:  # of any kind: it is raised again in `result`
            self._error = error
