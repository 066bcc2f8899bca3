"""Options that several commands share, and how records are printed."""

import json
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Who = Annotated[str | None, typer.Option(help="Who is to stand in the records; default: the user's name.")]


def print_json(value: Any) -> None:
    """Records for machines; lists are arrays."""
    typer.echo(json.dumps(value, indent=2))
