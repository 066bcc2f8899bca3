"""The first version of a server: the one its reference names, or, if that is unavailable, the last served one."""

from registry import versions
from registry.core import Registry
from registry.names import Reference
from serving import resolution
from serving.pools import Pool
from serving.state import Failure, Stale, State
from tailorbird.errors import Corrupt, Unavailable

REGISTRY_SECONDS = 5
"""Seconds that the registry may take to resolve a reference."""
FETCH_SECONDS = 15
"""Seconds that its download may take if another version can be served; the follower then downloads it later."""


def choose(registry: Registry, reference: Reference, pool: Pool) -> State:
    """A version whose verified package is in the cache.

    Raises NotFound if the registry has no such version, Unavailable if neither the registry nor the cache can provide
    one, and Corrupt if the version does not verify and the cache has no other.
    """
    cache = registry.settings.cache
    alias = reference.alias if reference.number is None else ""
    remembered = resolution.recall(cache, reference)
    try:
        version = pool.within(REGISTRY_SECONDS, lambda: versions.resolve(registry, reference))
    except Unavailable as error:
        if remembered is None:
            raise
        resolution.verified(registry, remembered, cache)
        return State(remembered, alias, stale=Stale.now(str(error)))
    if remembered is None or remembered.manifest == version.manifest:
        resolution.verified(registry, version, cache)
        return State(version, alias)
    try:
        pool.within(FETCH_SECONDS, lambda: resolution.verified(registry, version, cache))
    except (Corrupt, Unavailable) as error:
        resolution.verified(registry, remembered, cache)
        if isinstance(error, Unavailable):
            return State(remembered, alias, stale=Stale.now(f"{version} cannot be fetched: {error}"))
        return State(remembered, alias, failures=(Failure(version, str(error)),))
    return State(version, alias)
