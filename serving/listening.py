"""Closing a listening socket that several processes share, without losing a connected client.

The last process to close such a socket resets the connections that wait in it, and a client is connected before the
server has accepted it: its handshake ends at the client. So first new handshakes are refused, then those that have
begun end and are accepted, and only then is the socket shut for all processes.
"""

import ctypes
import socket
import struct
from contextlib import suppress

HANDSHAKE_SECONDS = 0.3
"""How long a handshake that has begun may take, on a slow network or a busy machine."""
SO_ATTACH_FILTER = 26
SYN, ACK = 0x02, 0x10
FLAGS = 13
"""The offset of its flags in a TCP header."""
_DROP_SYN = (
    (0x30, 0, 0, FLAGS),  # load a byte
    (0x54, 0, 0, SYN | ACK),  # and
    (0x15, 0, 1, SYN),  # go on if equal, else skip one instruction
    (0x06, 0, 0, 0),  # keep 0 bytes of the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # keep all
)
"""A classic BPF program (Linux, Documentation/networking/filter.rst): (code, jump if true, jump if false, operand)."""


def refuse_handshakes(listening: socket.socket) -> None:
    """Let no new handshake begin; its client tries again after a second.

    Without such a filter, which only Linux has, clients that come after the last `accept` are reset.
    """
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN)
    memory = ctypes.create_string_buffer(program, len(program))
    with suppress(OSError):
        option = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(memory))
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)


def last_connections(listening: socket.socket) -> list[socket.socket]:
    """Accept the connections that wait, then shut the socket, so that clients are refused from now on."""
    connections = []
    listening.setblocking(False)
    with suppress(OSError):  # no connection waits, or another worker has shut it
        while True:
            connections.append(listening.accept()[0])
    with suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
    return connections
