"""The clock by which connections that take too long are closed."""

import asyncio
import time
from typing import Any

SWEEP_SECONDS = 0.5


async def sweep(connections: "set[Any]") -> None:
    """Close connections that take too long, until cancelled: one periodic check of all instead of a timer for each."""
    while True:
        now = time.monotonic() + SWEEP_SECONDS  # if this loop is late, the clients were not slow
        await asyncio.sleep(SWEEP_SECONDS)
        for connection in list(connections):
            connection.look_at_clock(now)
