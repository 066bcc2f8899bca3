"""Safe reading of YAML from files and the command line, including its numbers."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BeforeValidator

from tailorbird.errors import InvalidInput, NotFound

NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
    ),
}


def read(path: Path, example: str) -> dict[Any, Any]:
    """Read a file with a mapping, such as `example`; raises InvalidInput that names the file."""
    try:
        content = _load(path.read_bytes())
    except FileNotFoundError:
        raise NotFound(str(path), "there is no such file") from None
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InvalidInput(str(path), f"is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InvalidInput(str(path), f"must be a mapping, as in `{example}`")
    return content


def value(text: str) -> Any:
    """Parse a text; raises ValueError if it is not YAML."""
    try:
        return _load(text)
    except ValueError:
        raise ValueError(f"not YAML: {text!r}") from None


def _load(text: str | bytes) -> Any:
    import yaml  # importing it takes 10 ms, and most commands do not need it

    try:
        return yaml.load(text, _loader())  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:  # a date such as 2026-13-01 is a ValueError, as are bad bytes
        raise ValueError(str(error)) from None


def _no_switch(number: Any) -> Any:
    if isinstance(number, bool):  # pydantic would accept it as 1 or 0
        raise ValueError(f"must be a number, not {number}")
    return number


NoSwitch = BeforeValidator(_no_switch)
"""Marks a number that must not be a boolean, such as yes or no in YAML."""


@cache
def _loader() -> type[Any]:
    """A loader of safe YAML with the usual notation of numbers, which refuses duplicate keys.

    In YAML 1.1, 1e-3 is a text, 010 is 8, and 1:30 is 90; here they are 0.001 and texts.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            node: yaml.MappingNode = super().compose_mapping_node(anchor)  # before any merge
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if twice := [key for key in keys if keys.count(key) > 1]:
                raise yaml.composer.ComposerError(None, None, f"{twice[0]!r} is given twice", node.start_mark)
            return node

    Loader.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in resolvers if tag not in NUMBERS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for tag, form in NUMBERS.items():
        Loader.add_implicit_resolver(tag, form, list("-+.0123456789"))
    return Loader
