"""Downloads of packages into the cache, each in a thread of its own: one that hangs does not block other versions."""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

from registry.core import Registry
from registry.version import Version
from serving import resolution
from serving.choice import FETCH_SECONDS
from serving.pools import Pool
from tailorbird.errors import Unavailable


class Fetches:
    """Belongs to one thread. A slow download is waited for once, and may be complete at a later call."""

    def __init__(self, registry: Callable[[], Registry], pool: Pool) -> None:
        self._registry = registry
        self._pool = pool
        self._running: dict[str, tuple[Future[Path], float]] = {}

    def verified(self, version: Version) -> Path:
        """The package's folder in the cache; raises as `resolution.verified`, and Unavailable if it takes too long."""
        running = version.manifest in self._running
        future, deadline = self._running.pop(version.manifest) if running else self._begin(version)
        if future not in wait([future], max(0.0, deadline - time.monotonic())).done:
            self._running[version.manifest] = future, deadline
            raise Unavailable(f"it did not come within {FETCH_SECONDS:g} s")
        return future.result()

    def _begin(self, version: Version) -> tuple[Future[Path], float]:
        registry = self._registry()
        future = self._pool.submit(lambda: resolution.verified(registry, version, registry.settings.cache))
        return future, time.monotonic() + FETCH_SECONDS
