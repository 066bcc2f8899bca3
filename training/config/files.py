"""Configs as people write them: YAML files, and `key.path=value` words of the command line."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tailorbird.errors import InvalidInput, NotFound


def read(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping; raises InvalidInput that names the file."""
    try:
        found = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise NotFound(str(path), "there is no such file") from None
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from None
    except _NOT_YAML as error:
        raise InvalidInput(str(path), f"is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise InvalidInput(str(path), "must hold keys and values, as in `epochs: 5`")
    return found


def override(given: Mapping[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Apply `key.path=value` words of the command line, each value read as YAML."""
    result = dict(given)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise InvalidInput("--set", f"{assignment!r} is not KEY=VALUE, as in optimizer.lr=0.01")
        try:
            value = yaml.load(text, _Loader)  # noqa: S506
        except _NOT_YAML:
            raise InvalidInput("--set", f"the value of {path} is not YAML: {text!r}") from None
        result = assign(result, path, value)
    return result


def assign(given: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of nested mappings in which the dotted `path` holds `value`."""
    *outer, last = path.split(".")
    result = here = dict(given)
    for key in outer:
        below = here.get(key, {})
        if not isinstance(below, Mapping):
            raise InvalidInput(path, f"{key} holds {below!r} and has no keys below it")
        here[key] = here = dict(below)
    here[last] = value
    return result


# a date such as 2026-13-01 is a ValueError, as are bytes that are no text
_NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, as everyone expects; YAML 1.1 asks for 1.0e-3. No key stands twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)  # before any merge
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.composer.ComposerError(None, None, f"{twice[0]!r} stands twice", node.start_mark)
        return node


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
