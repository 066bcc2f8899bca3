"""`tailorbird report SWEEP`: a sweep as one page."""

from pathlib import Path
from typing import Annotated

import typer

from tailorbird.commands.options import AsJson, print_json, write_out


def report(
    sweep: Annotated[str, typer.Argument(help="A sweep's id, from `sweeps list`.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="The page; default: reports/SWEEP.html in HOME.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write tables and pictures of a sweep as one HTML page that needs nothing beside it.

    Example: tailorbird report fashion-mlp-1a2b3c --out fashion-mlp.html
    """
    from registry.core import Registry
    from tailorbird import settings, terminal
    from tuning.report import page, results

    here = settings.load()
    with Registry(here) as registry:
        found = results.read(registry, sweep)
        path = (out or here.home / "reports" / f"{found.sweep.id}.html").absolute()
        written = page.html(registry, here, found)
    write_out(path, written.encode())
    if as_json:
        print_json({**found.record(), "page": str(path)})
    else:
        terminal.console().print(f"report: {path}", soft_wrap=True)
