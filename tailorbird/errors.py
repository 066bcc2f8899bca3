"""What can go wrong in a way that the user can mend.

TailorbirdError                 one plain sentence; exit status 1
├── InvalidInput                a field, a file or an argument that is not accepted; exit status 2
│   └── NotFound                a name that does not exist here; exit status 2
├── Conflict                    somebody else moved the alias first
├── Refused                     a promotion whose verdict is no
├── Corrupt                     bytes that are not what was stored
├── Unavailable                 a database, store or cluster that cannot be used now
└── Interrupted                 stopped by the user; exit status 130

Anything else that escapes is a defect of ours and keeps its traceback.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError


class TailorbirdError(Exception):
    """The base of every error that is told to the user in one sentence."""

    exit_status = 1


class InvalidInput(TailorbirdError):
    """`field` is not accepted; `problem` says what would be."""

    exit_status = 2

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    @classmethod
    def from_validation(cls, error: ValidationError, given: Any, prefix: str = "") -> "InvalidInput":
        """The first problem that pydantic found, as one sentence with the full path of its key."""
        first, *others = error.errors(include_url=False)
        path = [*_path_in(first["loc"], given)]
        problem = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        if first["type"] == "union_tag_invalid":
            path.append(str(first["ctx"]["discriminator"]).strip("'"))
            problem = f"must be one of {first['ctx']['expected_tags']}, not '{first['ctx']['tag']}'"
        elif first["type"] == "union_tag_not_found":
            path.append(str(first["ctx"]["discriminator"]).strip("'"))
            problem = "is missing"
        elif first["type"] == "missing":
            problem = "is missing"
        elif first["type"] == "extra_forbidden":
            problem = "is not a known key"
        elif first["msg"].startswith("Input should be "):
            problem = f"must be {problem}, not {_shown(first['input'])}"
        elif not first["msg"].startswith("Value error, "):
            problem = f"{problem[0].lower()}{problem[1:]}, not {_shown(first['input'])}"
        more = f" (and {len(others)} more)" if others else ""
        return cls(prefix + (".".join(path) or "value"), problem + more)


class NotFound(InvalidInput):
    """A model, version, alias, sweep or file that is not there."""


class Conflict(TailorbirdError):
    """The alias was not where the caller expected it: another promotion won."""

    def __init__(self, model: str, alias: str, expected: int | None, actual: int | None) -> None:
        super().__init__(
            f"{model}@{alias} is {_version(actual)}, not {_version(expected)} as expected: "
            f"someone else moved it first; look at it and promote again"
        )
        self.expected = expected
        self.actual = actual


class Refused(TailorbirdError):
    """A promotion that the gates do not let through; `reasons` says by how much each failed."""

    def __init__(self, what: str, reasons: list[str]) -> None:
        super().__init__(f"{what} was refused: {'; '.join(reasons)}")
        self.reasons = reasons


class Corrupt(TailorbirdError):
    """Stored bytes do not match the sum they were stored under."""


class Unavailable(TailorbirdError):
    """Something this needs cannot be reached or written now."""


class Interrupted(TailorbirdError):
    """The user stopped it."""

    exit_status = 130


def _version(number: int | None) -> str:
    return "unset" if number is None else f"version {number}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _path_in(loc: tuple[int | str, ...], given: Any) -> Iterator[str]:
    # pydantic puts the tag of a discriminated union into the path; the user never wrote that key
    for position, step in enumerate(loc):
        if isinstance(given, Mapping):
            if step not in given and position < len(loc) - 1:
                continue
            given = given.get(step)
        elif isinstance(given, list) and isinstance(step, int) and step < len(given):
            given = given[step]
        elif not isinstance(given, (Mapping, list)) and position > 0:
            return
        yield str(step)


@contextmanager
def told() -> Iterator[None]:
    """Turn a user's error into one line on standard error and its exit status, without a traceback."""
    try:
        yield
    except TailorbirdError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(Interrupted.exit_status)
