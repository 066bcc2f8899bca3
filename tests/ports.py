"""Ports on which nobody listens, for servers that tests start."""

import secrets
import socket
from contextlib import suppress

NOT_GIVEN_TO_CLIENTS = range(20_000, 32_768)
"""Below those that Linux gives to connections, above those that Ray's workers take.

Between a probe and its use such a port could be given to a connection; and a client that dials a stopped server again
and again could be given that very port, and would be connected to itself.
"""


def free_port() -> int:
    """A port that is free at 127.0.0.1."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", secrets.choice(NOT_GIVEN_TO_CLIENTS)))
            return int(probe.getsockname()[1])
