"""The command line: every command by name, imported when it is run."""

from typing import Annotated

import typer

from tailorbird import __version__, lazy, terminal

COMMANDS = {
    "demo": "tailorbird.commands.demo:demo",
    "doctor": "tailorbird.commands.doctor:doctor",
    "data": "tailorbird.commands.data:data",
    "train": "tailorbird.commands.train:train",
    "sweep": "tuning.sweep:sweep",
    "report": "tailorbird.commands.report:report",
    "predict": "tailorbird.commands.predict:predict",
    "serve": "tailorbird.commands.serve:serve",
    "watch": "tailorbird.commands.watch:watch",
    "drill": "tailorbird.commands.drill:drill",
}
FIGURE = {
    "predictions": "tailorbird.commands.figure:predictions",
    "features": "tailorbird.commands.figure:features",
    "layers": "tailorbird.commands.figure:layers",
    "graph": "tailorbird.commands.figure:graph",
    "curves": "tailorbird.commands.figure:curves",
    "confusion": "tailorbird.commands.figure:confusion",
    "scatter": "tailorbird.commands.figure:scatter",
    "descent": "tailorbird.commands.figure:descent",
}
SWEEPS = {
    "list": "tailorbird.commands.sweeps:list_sweeps",
    "show": "tailorbird.commands.sweeps:show",
    "cancel": "tailorbird.commands.sweeps:cancel",
    "extend": "tailorbird.commands.sweeps:extend",
}
REGISTRY = {
    "list": "tailorbird.commands.registry.look:list_versions",
    "show": "tailorbird.commands.registry.look:show",
    "history": "tailorbird.commands.registry.look:history",
    "verify": "tailorbird.commands.registry.look:verify",
    "card": "tailorbird.commands.registry.card:card",
    "diff": "tailorbird.commands.registry.diff:diff",
    "promote": "tailorbird.commands.registry.move:promote",
    "rollback": "tailorbird.commands.registry.move:rollback",
    "hold": "tailorbird.commands.registry.move:hold",
    "tag": "tailorbird.commands.registry.keep:tag",
    "delete": "tailorbird.commands.registry.keep:delete",
    "gc": "tailorbird.commands.registry.keep:gc",
    "migrate": "tailorbird.commands.registry.keep:migrate",
    "notify": "tailorbird.commands.registry.keep:notify",
    "export": "tailorbird.commands.registry.carry:export",
    "import": "tailorbird.commands.registry.carry:import_version",
    "reproduce": "tailorbird.commands.registry.reproduce:reproduce",
}

app = typer.Typer(
    name="tailorbird",
    cls=lazy.group(COMMANDS),
    help="Sweep, register and serve image classifiers. Start with `tailorbird demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for name, commands, help_line in (
    ("figure", FIGURE, "Draw a figure of a model, its training or its data."),
    ("sweeps", SWEEPS, "List, show, cancel and extend sweeps."),
    ("registry", REGISTRY, "List and compare versions, move aliases, export and import packages."),
):
    app.add_typer(typer.Typer(cls=lazy.group(commands), help=help_line, no_args_is_help=True), name=name)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tailorbird {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Options of all commands."""


def main() -> None:
    """The console script."""
    terminal.run(app)
