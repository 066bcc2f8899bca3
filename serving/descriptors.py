"""The limit of open files, which limits connections."""

import resource
from contextlib import suppress

MOST_CONNECTIONS = 10_000
OWN_FILES = 100


def most_connections() -> int:
    """The most connections: the limit of open files, raised as far as allowed, less some for the process itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # on systems where an unlimited value cannot be set
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return min(max(soft - OWN_FILES, soft // 2), MOST_CONNECTIONS)
