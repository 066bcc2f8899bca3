"""Options that several commands share, and how records are printed."""

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
Why = Annotated[str, typer.Option(help="A sentence for the history.", show_default=False)]
Who = Annotated[str | None, typer.Option(help="Who is to stand in the records; default: the user's name.")]


def print_json(value: Any) -> None:
    """Records for machines; lists are arrays."""
    terminal.print_product(json.dumps(value, indent=2))


def write_out(path: Path, data: bytes) -> None:
    """Write what `--out` asks for; raises Unavailable where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}; --out names another file") from None


def open_registry() -> Registry:
    """The registry that the settings name."""
    return Registry(settings.load())
