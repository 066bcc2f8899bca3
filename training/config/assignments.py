"""Changes to a config from the command line, written `key.path=value`."""

from collections.abc import Mapping
from typing import Any

from tailorbird import yaml_files
from tailorbird.errors import InvalidInput


def override(config: Mapping[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Apply `key.path=value` arguments of the command line, each value read as YAML."""
    result = dict(config)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise InvalidInput("--set", f"{assignment!r} is not KEY=VALUE, as in optimizer.lr=0.01")
        try:
            value = yaml_files.value(text)
        except ValueError:
            raise InvalidInput("--set", f"the value of {path} is not YAML: {text!r}") from None
        result = assign(result, path, value)
    return result


def assign(mapping: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of nested mappings in which the dotted `path` holds `value`."""
    *outer, last = path.split(".")
    result = here = dict(mapping)
    for key in outer:
        below = here.get(key, {})
        if not isinstance(below, Mapping):
            raise InvalidInput(path, f"{key} is {below!r} and has no nested keys")
        here[key] = here = dict(below)
    here[last] = value
    return result
