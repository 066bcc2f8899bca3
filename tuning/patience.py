"""Retries while a database or store is down, to keep what has been trained."""

import time
from collections.abc import Callable
from typing import TypeVar

from tailorbird.errors import Unavailable

PATIENCE = 120
"""For how many seconds a database or store may be down before the sweep gives up."""

R = TypeVar("R")


def patient(act: Callable[[], R]) -> R:
    """Call a function, and retry while a database or store is down; it must be idempotent.

    Raises Unavailable if that takes too long.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
