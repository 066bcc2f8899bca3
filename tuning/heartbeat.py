"""The heartbeat of a sweep's driver: renews the lease and shows progress."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from registry import leases
from registry.core import Registry
from registry.leases import Lease
from tailorbird.errors import Unavailable
from tuning.follower import Follower
from tuning.patience import patient
from tuning.progress import LiveTable
from tuning.spec import SweepSpec

SHOW_EVERY = 1.0
BEATS = 4
"""Renewals of a lease within its duration."""


class Heartbeat:
    """A thread of the driver, which stops the search if it fails, as when another driver has taken over the sweep."""

    def __init__(
        self,
        registry: Registry,
        lease: Lease,
        spec: SweepSpec,
        table: LiveTable,
        seconds: float,
        on_failure: Callable[[], None],
    ) -> None:
        self._registry, self._lease, self._seconds, self._on_failure = registry, lease, seconds, on_failure
        self._follower, self._table = Follower(registry, lease.sweep, spec), table
        self._ending, self._showing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        patient(self._follower.poll)  # what ended under an earlier driver is not told again
        patient(self.show)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what it failed with: LeaseLost if another driver has taken over the sweep."""
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        due, waiting = time.monotonic() + self._seconds / BEATS, False
        while not self._ending.wait(SHOW_EVERY):
            try:
                if time.monotonic() >= due:
                    leases.renew(self._registry, self._lease, self._seconds)
                    due = time.monotonic() + self._seconds / BEATS
                self.show()
                waiting = False
            except Unavailable as outage:  # the writer waits for the database too, and reports if it gives up
                if not waiting:
                    self._table.tell(str(outage))
                waiting = True
            except Exception as failure:
                self._failure = failure
                self._on_failure()
                return

    def show(self) -> None:
        """Show the current state of the ledger."""
        with self._showing, suppress(OSError):  # a closed terminal does not end the sweep
            self._table.show(self._follower, self._follower.poll())
