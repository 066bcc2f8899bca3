"""`tailorbird registry card`."""

from pathlib import Path
from typing import Annotated

import typer

from registry import versions
from registry.cards import card as cards
from registry.cards import facts
from tailorbird import terminal
from tailorbird.commands.options import Ref, open_registry


def card(
    version: Ref,
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="Output file: .html, or .md with its pictures next to it; default: print.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> None:
    """Write a model card: intended use, results, limits and provenance of a version.

    Example: tailorbird registry card demo@champion demo.html
    """
    with open_registry() as registry:
        model_facts = facts.gather(registry, versions.resolve(registry, version))
    if path is None:
        terminal.print_product(cards.markdown(model_facts, pictures=False).rstrip("\n"))
        return
    for written in cards.write(model_facts, path, overwrite=force):
        typer.echo(f"wrote {written}")
