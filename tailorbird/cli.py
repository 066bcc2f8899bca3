"""The command line. Commands import what they need when they run, so that `--help` answers at once."""

from typing import Annotated

import typer

from tailorbird import __version__
from tailorbird.commands import data, demo, doctor, figure, registry, report, serve, sweeps, train
from tailorbird.errors import told
from tuning.sweep import sweep

app = typer.Typer(
    name="tailorbird",
    help="Sweep, register and serve image classifiers. Start with `tailorbird demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (demo.demo, doctor.doctor, data.data, train.train, sweep, report.report, figure.figure, serve.serve):
    app.command()(command)
app.add_typer(sweeps.app, name="sweeps")
app.add_typer(registry.app, name="registry")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tailorbird {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """What all commands share."""


def main() -> None:
    """The console script."""
    with told():
        app()
