"""`tailorbird report SWEEP`: an HTML report of a sweep."""

from pathlib import Path
from typing import Annotated

import typer

from tailorbird import terminal
from tailorbird.commands.options import AsJson, open_registry, print_json, write_out


def report(
    sweep: Annotated[str, typer.Argument(help="A sweep's id, from `sweeps list`.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Output file; default: reports/SWEEP.html in HOME.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a self-contained HTML report of a sweep.

    Example: tailorbird report fashion-mlp-1a2b3c --out fashion-mlp.html
    """
    from tuning.report import page, results

    with open_registry() as registry:
        recorded = results.read(registry, sweep)
        path = (out or registry.settings.home / "reports" / f"{recorded.sweep.id}.html").absolute()
        html = page.html(registry, registry.settings, recorded)
    write_out(path, html.encode())
    if as_json:
        print_json({**recorded.record(), "page": str(path)})
    else:
        terminal.console().print(f"report: {path}", soft_wrap=True)
