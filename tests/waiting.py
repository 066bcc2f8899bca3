"""Waiting for a condition, for as long as a busy machine may need."""

import time

BOUND_SECONDS = 200
"""Far longer than anything takes; a test that waits until this limit is stuck."""
PAUSE_SECONDS = 0.02


def wait_for(condition):
    """What `condition` returns once that is true; until then it may raise OSError, as for a port that is closed."""
    end = time.monotonic() + BOUND_SECONDS
    while True:
        try:
            if outcome := condition():
                return outcome
        except OSError:
            if time.monotonic() > end:
                raise
        assert time.monotonic() < end, f"{condition.__qualname__} is not true after {BOUND_SECONDS} s"
        time.sleep(PAUSE_SECONDS)
