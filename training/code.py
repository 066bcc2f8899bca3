"""The user's own code, named `package.module:name` in their config file, with its errors reported in one sentence.

Only references from a user's own config may be passed to this module, never any that were loaded from a registry.
"""

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tailorbird.errors import InvalidInput, TailorbirdError


def load(reference: str, field: str) -> Callable[..., Any]:
    """The function that `package.module:name` names, looked for in the working directory too.

    Raises InvalidInput for `field` where there is none, or where its module cannot be imported.
    """
    module, _, name = reference.partition(":")
    attribute = getattr(_imported(module, field), name, None)
    if attribute is None:
        where = getattr(sys.modules[module], "__file__", None) or "a package without a file"
        raise InvalidInput(field, f"{module} ({where}) has no {name}")
    if not callable(attribute):
        raise InvalidInput(field, f"{reference} must be a function, not {type(attribute).__name__}")
    return attribute  # type: ignore[no-any-return]


@contextmanager
def blamed(reference: str, field: str, unless: Callable[[Exception], bool] = lambda _: False) -> Iterator[None]:
    """Raise errors of the user's code within as InvalidInput for `field`, with file and line.

    Errors for which `unless` holds are not theirs, and are raised unchanged.
    """
    try:
        yield
    except TailorbirdError:
        raise
    except Exception as error:
        if unless(error):
            raise
        raise InvalidInput(field, f"{reference} raised {_message(error)}") from error


def _imported(module: str, field: str) -> ModuleType:
    # a console script's sys.path lacks it; last, so that no file of the user shadows an installed module
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            problem = f"there is no module {error.name}, neither in {folder} nor installed"
        else:
            problem = f"{module} cannot be imported: {_message(error)}"
        raise InvalidInput(field, problem) from error
    except (Exception, SystemExit) as error:
        raise InvalidInput(field, f"{module} cannot be imported: {_message(error)}") from error


def _message(error: BaseException) -> str:
    """`KeyError: 'x' (net.py, line 3)`: the last line reached in the user's own code."""
    message = f"{type(error).__name__}: {error}".replace("\n", " ").removesuffix(": ")
    if isinstance(error, SyntaxError):  # which ends with file and line by itself
        return message
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _of_others(frame.filename)]
    return f"{message} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else message


def _of_others(filename: str) -> bool:
    """Whether a file belongs to Python, to an installed package or to this one."""
    paths = sysconfig.get_paths()
    folders = [str(Path(__file__).parent), paths["stdlib"], paths["purelib"], paths["platlib"]]
    return filename.startswith("<") or any(Path(filename).is_relative_to(folder) for folder in folders)
