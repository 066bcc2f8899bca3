"""`environment.txt`: what else determines the weights, one per line, such as `torch==2.13.0`."""

from collections.abc import Iterable

from tailorbird.errors import Corrupt

FILE = "environment.txt"


def encode(lines: Iterable[str]) -> bytes:
    """Serialise the lines."""
    return "".join(f"{line}\n" for line in lines).encode()


def parse(data: bytes) -> tuple[str, ...]:
    """Read the file; raises Corrupt if it is not UTF-8."""
    try:
        return tuple(data.decode().splitlines())
    except UnicodeDecodeError:
        raise Corrupt(f"{FILE}: is not UTF-8") from None
