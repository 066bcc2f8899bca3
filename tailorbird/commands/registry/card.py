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
            help="A .html, or a .md beside which its pictures go; default: print it.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there already.")] = False,
) -> None:
    """A model card: what a version is, how to use it, what it scores, where it fails and how it was made.

    Example: tailorbird registry card demo@champion demo.html
    """
    with open_registry() as registry:
        model_facts = facts.gather(registry, versions.resolve(registry, version))
    if path is None:
        terminal.print_product(cards.markdown(model_facts, pictures=False).rstrip("\n"))
        return
    for written in cards.write(model_facts, path, overwrite=force):
        typer.echo(f"wrote {written}")
