"""Shared options of commands, and the printing of records."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from registry.core import Registry
from tailorbird import settings, terminal
from tailorbird.errors import Unavailable

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Ref = Annotated[str, typer.Argument(metavar="NAME[:N|@ALIAS]", help="A version.", show_default=False)]
Model = Annotated[str, typer.Argument(metavar="NAME", help="A model.", show_default=False)]
Alias = Annotated[str, typer.Option(help="The alias.")]
Why = Annotated[str, typer.Option(help="Reason to record in the history.", show_default=False)]
Who = Annotated[str | None, typer.Option(help="Name to record; default: the user's name.")]


def print_json(value: Any) -> None:
    """Records for machines; lists are arrays."""
    terminal.print_product(json.dumps(value, indent=2))


def write_out(path: Path, data: bytes) -> None:
    """Write the file of `--out`; raises Unavailable if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}; choose another file with --out") from None


def open_registry() -> Registry:
    """The registry that the settings name."""
    return Registry(settings.load())
