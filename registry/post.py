"""One POST to a configured URL, with a deadline, and only to addresses that were checked."""

import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from tailorbird.errors import Unavailable

SECONDS = 5
"""Seconds for connecting, sending and the response's head together, after the host was resolved."""

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def send(url: str, body: bytes, headers: Mapping[str, str], *, private: bool) -> None:
    """Send `body`; raises Unavailable unless the response is 2xx.

    Redirects and proxies are not followed, and the response's body is not read. The host's name is resolved once: all
    its addresses must be public, unless `private`, and the connection goes to one of them.
    """
    parts = urlsplit(url)
    addresses = _vetted(str(parts.hostname), private)
    try:
        status = _answer(parts, addresses, body, headers)
    except TimeoutError:
        raise Unavailable(f"there was no answer within {SECONDS} seconds") from None
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(f"its certificate does not verify: {error.verify_message}") from None
    except OSError as error:
        raise Unavailable(f"it cannot be reached: {error.strerror or error}") from None
    except http.client.HTTPException:
        raise Unavailable("its answer is not HTTP") from None
    if 300 <= status < 400:
        raise Unavailable(f"it answered {_named(status)}, and redirects are not followed: use the URL they lead to")
    if not 200 <= status < 300:
        raise Unavailable(f"it answered {_named(status)}")


def is_public(address: str) -> bool:
    """Whether an IP address is public, also as an IPv4 address mapped to IPv6."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        translated = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF) if parsed in NAT64 else None
        inner = parsed.ipv4_mapped or parsed.sixtofour or translated
        if inner is not None:
            return is_public(str(inner))
        if parsed not in GLOBAL_UNICAST:
            return False
    return parsed.is_global and not parsed.is_multicast


def _vetted(host: str, private: bool) -> list[str]:
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a label is empty or too long
        raise Unavailable(f"the host {host} cannot be found") from None
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in infos))
    for address in addresses:
        if not (private or is_public(address)):
            raise Unavailable(
                f"the host {host} is at {address}, which is not a public address; "
                f"TAILORBIRD_WEBHOOK_PRIVATE=true allows it"
            )
    return addresses


def _answer(parts: SplitResult, addresses: list[str], body: bytes, headers: Mapping[str, str]) -> int:
    deadline = time.monotonic() + SECONDS
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with closing(_connected(parts, addresses, deadline)) as connected:
        connection = http.client.HTTPConnection(parts.netloc)
        connection.sock = connected
        connection.request("POST", target, body, {"Host": parts.netloc, "Connection": "close", **headers})
        response = http.client.HTTPResponse(cast(socket.socket, _Answer(connected, deadline)), method="POST")
        response.begin()
        return response.status


def _connected(parts: SplitResult, addresses: list[str], deadline: float) -> socket.socket:
    """A socket to the first address that accepts it, with TLS if the URL is https."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connected = _first(addresses, port, deadline)
    if parts.scheme == "http":
        return connected
    connected.settimeout(_left(deadline))
    with closing(connected):  # the TLS socket owns it now
        return ssl.create_default_context().wrap_socket(connected, server_hostname=parts.hostname)


def _first(addresses: list[str], port: int, deadline: float) -> socket.socket:
    *others, last = addresses
    for left, address in zip(range(len(addresses), 1, -1), others, strict=True):
        try:
            return socket.create_connection((address, port), _left(deadline) / left)
        except OSError:  # a host may have an address of a family without a route here
            continue
    return socket.create_connection((last, port), _left(deadline))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Answer(io.RawIOBase):
    """Reads a socket until a deadline; a socket's own timeout applies to each read only."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The interface that `http.client` expects of a socket."""
        return io.BufferedReader(self)


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
