"""Errors that users can fix.

TailorbirdError                 one plain sentence; exit status 1
├── InvalidInput                a field, a file or an argument that is not accepted; exit status 2
│   ├── NotFound                a name that does not exist here; exit status 2
│   └── TooLarge                a file over a limit; exit status 2
├── Conflict                    another process moved the alias first
├── Refused                     a promotion that the gates refuse
├── LeaseHeld                   a sweep that another process runs
├── LeaseLost                   a sweep that another process has taken over or cancelled
├── SweepChanged                a sweep that another process has changed in the meantime
├── Irreproducible              figures that differ when they are measured again
├── Corrupt                     bytes that are not what was stored
├── Unavailable                 a database, store or cluster that cannot be used now
│   ├── ReadOnly                a database that is read-only
│   └── Unmigrated              a database that requires `tailorbird registry migrate`
└── Interrupted                 stopped by the user; exit status 130

Any other exception is a bug and keeps its traceback.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails


class TailorbirdError(Exception):
    """The base of all errors that are reported to the user in one sentence."""

    exit_status = 1


class InvalidInput(TailorbirdError):
    """`field` is not accepted; `problem` says why, and what is accepted."""

    exit_status = 2

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"

    @classmethod
    def from_validation(
        cls, error: "ValidationError", raw: Any, kind: type["BaseModel"], prefix: str = ""
    ) -> "InvalidInput":
        """The first problem that pydantic found when it validated `given` as `kind`, with the full path of its key.

        Missing keys are named last. A value that no branch of a union accepts is one problem, reported by the branch
        that got furthest, or by all that got equally far.
        """
        located = [(_path(detail, raw), detail) for detail in error.errors(include_url=False)]
        located.sort(key=lambda problem: problem[1]["type"] == "missing")  # a missing key may be another one, misspelt
        first = located[0][0]
        within = [(path, detail) for path, detail in located if path[: len(first)] == first]
        furthest = max((path for path, _ in within), key=len)
        problem = _sentence([detail for path, detail in within if path == furthest], kind)
        others = {path for path, _ in located if path[: len(first)] != first}
        more = f" (and {len(others)} more)" if others else ""
        return cls((prefix + ".".join(furthest)).rstrip(".: ") or "value", problem + more)


class NotFound(InvalidInput):
    """A model, version, alias, sweep or file that is not there."""


class TooLarge(InvalidInput):
    """A file over a limit that a setting or a library sets."""


class Conflict(TailorbirdError):
    """The alias did not point to the version that the caller expected (0: unset): another promotion won."""

    def __init__(self, model: str, alias: str, expected: int, actual: int | None) -> None:
        super().__init__(model, alias, expected, actual)
        self.model = model
        self.alias = alias
        self.expected = expected
        self.actual = actual

    def __str__(self) -> str:
        return (
            f"{self.model}@{self.alias} is {_version(self.actual)}, not {_version(self.expected)} as expected: "
            f"someone else moved it first; check it and promote again"
        )


class Refused(TailorbirdError):
    """A promotion that the gates refuse; `reasons` say by how much each gate failed."""

    def __init__(self, what: str, reasons: list[str]) -> None:
        super().__init__(what, reasons)
        self.what = what
        self.reasons = reasons

    def __str__(self) -> str:
        return f"{self.what} was refused: {'; '.join(self.reasons)}"


class LeaseHeld(TailorbirdError):
    """Another process runs the sweep, or may still."""

    def __init__(self, sweep: str, owner: str, expires: str) -> None:
        super().__init__(sweep, owner, expires)
        self.sweep = sweep
        self.owner = owner
        self.expires = expires

    def __str__(self) -> str:
        name, _, number, _ = self.owner.split(" ")
        until = self.expires[:19].replace("T", " ")
        return (
            f"sweep {self.sweep} is being run by process {number} on {name}; if that process is gone, the sweep can "
            f"be resumed from {until} UTC on"
        )


class LeaseLost(TailorbirdError):
    """The sweep was taken over or cancelled, and this process no longer writes to it."""

    def __init__(self, sweep: str, reason: str) -> None:
        super().__init__(sweep, reason)
        self.sweep = sweep
        self.reason = reason

    def __str__(self) -> str:
        return f"sweep {self.sweep} {self.reason}; this process stops, and its last reports were not accepted"


class SweepChanged(TailorbirdError):
    """Another process has taken the sweep over since it was read."""

    def __str__(self) -> str:
        return f"sweep {self.args[0]} was changed by another process in the meantime; nothing was done, try again"


class Irreproducible(TailorbirdError):
    """Training the same epochs again gave other results."""


class Corrupt(TailorbirdError):
    """Stored bytes do not match the sum they were stored under."""


class Unavailable(TailorbirdError):
    """A required resource cannot be reached or written now."""


class ReadOnly(Unavailable):
    """A read-only database."""


class Unmigrated(Unavailable):
    """The database's schema is older than this release's, or there is none yet."""


class Interrupted(TailorbirdError):
    """The user stopped it."""

    exit_status = 130


def _version(number: int | None) -> str:
    return f"version {number}" if number else "unset"


def _path(error: "ErrorDetails", raw: Any) -> tuple[str, ...]:
    # pydantic includes the branch of a union in the path, which is not a key of the user's
    path = []
    for step in error["loc"]:
        keys = range(len(raw)) if isinstance(raw, list) else raw if isinstance(raw, Mapping) else ()
        if step in keys:
            path.append(str(step))
            raw = raw[step]
    if error["type"] == "missing":
        path.append(str(error["loc"][-1]))
    elif error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path.append(error["ctx"]["discriminator"].strip("'"))
    return tuple(path)


def _sentence(errors: list["ErrorDetails"], kind: type["BaseModel"]) -> str:
    """What is wrong with one value; the errors are those of the branches of a union."""
    musts, others = [], []
    for error in errors:
        accepted = _accepted(error)
        if accepted is None:
            others.append(_problem(error, kind))
        else:
            musts.append(accepted)
    if musts:
        value = errors[0]["input"]
        word = isinstance(value, bool) and "a valid string" in musts  # as YAML reads it
        quotes = "; yes, no, on and off are text in quotes" if word else ""
        others.insert(0, f"must be {' or '.join(dict.fromkeys(musts))}, not {_shown(value)}{quotes}")
    return "; ".join(dict.fromkeys(others))


def _accepted(error: "ErrorDetails") -> str | None:
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "keys with values"
    before, should_be, accepted = error["msg"].partition("Input should be ")
    return accepted.partition(", unable to ")[0] if should_be and not before else None


def _problem(error: "ErrorDetails", kind: type["BaseModel"]) -> str:
    match error["type"]:
        case "missing" | "union_tag_not_found":
            return "is missing"
        case "extra_forbidden":
            return f"is not a known key; accepted: {', '.join(_keys(kind, error['loc'][:-1]))}"
        case "union_tag_invalid":
            return f"must be one of {error['ctx']['expected_tags']}, not '{error['ctx']['tag']}'"
        case "value_error" | "assertion_error":
            return str(error["ctx"]["error"])
    problem = error["msg"].replace(" after validation", "")
    shown = "" if ", not " in problem else f", not {_shown(error['input'])}"
    return f"{problem[0].lower()}{problem[1:]}{shown}"


def _keys(kind: type["BaseModel"], loc: tuple[int | str, ...]) -> list[str]:
    """The accepted keys at a path within a model, which consists of keys, indices and branches of unions."""
    kinds = [kind]
    for step in loc:
        below = [model for each in kinds if step in each.model_fields for model in _models(each.model_fields[step])]
        kinds = below or [each for each in kinds if _is_branch(each, step)] or kinds
    return list(dict.fromkeys(key for each in kinds for key in each.model_fields))


def _models(annotated: Any) -> list[type["BaseModel"]]:
    if hasattr(annotated, "model_fields"):
        return [annotated]
    inner = (annotated.annotation,) if hasattr(annotated, "annotation") else get_args(annotated)
    return [model for nested in inner for model in _models(nested)]


def _is_branch(kind: type["BaseModel"], step: int | str) -> bool:
    return any(step in get_args(field.annotation) for field in kind.model_fields.values())


def _printable(text: str) -> str:
    # it may contain names from an untrusted package, and a terminal obeys control characters
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@contextmanager
def reported() -> Iterator[None]:
    """Turn a user's error into one line on standard error and its exit status, without a traceback."""
    try:
        yield
    except TailorbirdError as error:
        print(f"error: {_printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt as ending:
        print(_interruption(ending), file=sys.stderr)
        sys.exit(Interrupted.exit_status)
    except SystemExit as ending:  # Typer turns a KeyboardInterrupt into it, without a message
        if ending.code == Interrupted.exit_status:
            print(_interruption(ending), file=sys.stderr)
        raise


def _interruption(ending: BaseException | None) -> str:
    """The message of the interruption, even if another signal followed; else a generic one."""
    while ending is not None and not isinstance(ending, Interrupted):
        ending = ending.__context__
    return "interrupted" if ending is None else f"error: {_printable(str(ending))}"
