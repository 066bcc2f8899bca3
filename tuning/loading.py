"""Loading in a background thread."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Loading(Generic[T]):
    """Runs a function on a thread of its own, which ends with the process."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._result: T
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for a moment; raises what went wrong, if something has by then."""
        self._thread.join(seconds)
        if self._error:
            raise self._error

    def result(self) -> T:
        """What was loaded, once it is; raises what went wrong."""
        while self._thread.is_alive():
            self._thread.join(0.2)  # in parts, so that a signal is heard
        if self._error:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._load()
        except BaseException as error:  # of any kind: it is raised where the result is asked for
            self._error = error
