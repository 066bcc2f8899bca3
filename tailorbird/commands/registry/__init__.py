"""`tailorbird registry`: the versions of models, their aliases and their files."""

import typer

from tailorbird.commands.registry import card, carry, diff, keep, look, move, reproduce

app = typer.Typer(help="Look at versions, move aliases, keep and carry packages.", no_args_is_help=True)

app.command("list")(look.list_versions)
app.command("import")(carry.import_version)
for command in (
    look.show,
    look.history,
    look.verify,
    card.card,
    diff.diff,
    move.promote,
    move.rollback,
    move.hold,
    keep.tag,
    keep.delete,
    keep.gc,
    keep.migrate,
    keep.notify,
    carry.export,
    reproduce.reproduce,
):
    app.command()(command)
