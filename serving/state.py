"""The served version of a server, in a file shared by its workers, so that all use the same one.

One worker leads: it polls the registry, tries new versions, and writes the result to the file. The other workers, and
those that replace dead ones, only read the file.
"""

import fcntl
import json
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry.version import Version
from serving import resolution
from tailorbird.errors import Corrupt
from tailorbird.files import locked, write_flushed
from tailorbird.settings import PREFIX

FOLDER = f"{PREFIX}SERVER_FOLDER"
"""The variable that names the shared folder for workers; set by the server, not by users."""


@dataclass(frozen=True)
class Failure:
    """A version that is not served, and why."""

    version: Version
    problem: str


@dataclass(frozen=True)
class Stale:
    """Since when (RFC 3339) and why the alias is not followed."""

    since: str
    problem: str

    @classmethod
    def now(cls, problem: str) -> "Stale":
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), problem)


@dataclass(frozen=True)
class State:
    """The served version, its alias ("" if it was requested by number), the challenger, and problems."""

    version: Version
    alias: str
    challenger: Version | None = None
    failures: tuple[Failure, ...] = ()
    stale: Stale | None = None

    def failed(self, version: Version) -> bool:
        return any(same(failure.version, version) for failure in self.failures)

    def with_failure(self, version: Version, problem: str) -> "State":
        return replace(self, failures=(*self.failures, Failure(version, problem)))

    def followed(self, *versions: Version | None) -> "State":
        """The state after a query of the registry; failed versions are remembered while an alias points to them."""
        failures = [failure for failure in self.failures if any(v and same(failure.version, v) for v in versions)]
        return replace(self, stale=None, failures=tuple(failures))

    def record(self) -> dict[str, Any]:
        return {
            "version": self.version.record(),
            "alias": self.alias,
            "challenger": self.challenger and self.challenger.record(),
            "failures": [[failure.version.record(), failure.problem] for failure in self.failures],
            "stale": self.stale and [self.stale.since, self.stale.problem],
        }


def decode(record: dict[str, Any]) -> State:
    """Raises Corrupt for what `State.record` did not write."""
    try:
        return State(
            version=resolution.decode(record["version"]),
            alias=record["alias"],
            challenger=resolution.decode(record["challenger"]) if record["challenger"] else None,
            failures=tuple(Failure(resolution.decode(version), problem) for version, problem in record["failures"]),
            stale=Stale(*record["stale"]) if record["stale"] else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"this is not the state of a server: {error!r}") from None


class StateFile:
    """`state.json` in the server's folder, with its locks."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.json"
        self._seen: tuple[int, int] | None = None
        self._state: State | None = None
        self._leading: int | None = None

    def read(self) -> State | None:
        """The state in the file; None if nothing was served yet."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        if (status.st_ino, status.st_mtime_ns) != self._seen:
            self._state = decode(json.loads(self._path.read_bytes()))
            self._seen = (status.st_ino, status.st_mtime_ns)
        return self._state

    def write(self, state: State) -> None:
        """Raises Unavailable if it cannot be written."""
        write_flushed(self._path, json.dumps(state.record()).encode())

    def lead(self) -> bool:
        """Whether this process leads; it then stays the leader until it ends."""
        if self._leading is None:
            descriptor = os.open(self._path.with_name("leader"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                self._leading = descriptor
        return self._leading is not None

    def turn(self) -> AbstractContextManager[None]:
        """Let one worker load at a time; blocks."""
        return locked(self._path.with_name("turn"))

    def close(self) -> None:
        if self._leading is not None:
            os.close(self._leading)
            self._leading = None


def same(version: Version, other: Version) -> bool:
    """Whether both are the same version with the same package."""
    return (version.number, version.manifest) == (other.number, other.manifest)
