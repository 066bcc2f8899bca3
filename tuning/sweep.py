"""Run a sweep: `python tuning/sweep.py SPEC.yaml`, the same as `tailorbird sweep SPEC.yaml`.

On a Ray cluster: `ray job submit --working-dir . -- python tuning/sweep.py tuning/specs/fashion-mlp.yaml`.
"""

import json
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

if __name__ == "__main__":  # for a script, Python searches modules beside this file, not in the project
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tailorbird import terminal
from tailorbird.errors import InvalidInput

SpecFile = Annotated[Path | None, typer.Argument(metavar="SPEC.yaml", help="The sweep spec.", show_default=False)]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the spec, such as trials=4.")
]
Id = Annotated[
    str | None, typer.Option("--id", metavar="SWEEP", help="Start or resume the sweep of this name, unless cancelled.")
]
Resume = Annotated[str | None, typer.Option(metavar="SWEEP", help="Resume this sweep; needs no spec.")]
Address = Annotated[str | None, typer.Option(help="Ray cluster; default: RAY_ADDRESS, else a local one.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check the spec without its data, show its trials, and start nothing.")
]
Who = Annotated[str | None, typer.Option(help="Name to record; default: the user's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON; with --dry-run, the trials.")]


def sweep(
    spec: SpecFile = None,
    assignments: Assignments = None,
    id: Id = None,  # noqa: A002 (the option's name)
    resume: Resume = None,
    address: Address = None,
    dry_run: DryRun = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Search over run configs; register the best and, if its gates pass, promote it.

    Example: tailorbird sweep tuning/specs/fashion-mlp.yaml --set trials=8
    """
    from tailorbird import settings
    from tuning import spec_file, summary

    console = terminal.console(stderr=as_json)
    if spec is None and resume is None:
        raise InvalidInput("SPEC.yaml", "is required, or --resume SWEEP in its place")
    if spec is not None and resume is not None:
        raise InvalidInput("--resume", "takes the spec of the sweep; leave out SPEC.yaml")
    if resume is not None and (id is not None or assignments or dry_run):
        raise InvalidInput("--resume", "cannot be combined with --id, --set or --dry-run")
    checked = spec_file.read(spec, assignments or []) if spec else None
    if checked and dry_run:
        if as_json:
            configs = [config.model_dump(mode="json") for config in checked.configs]
            terminal.print_product(json.dumps({"name": checked.name, "trials": configs}, indent=2))
        else:
            summary.show_trials(checked, console)
        return
    from tuning import addresses

    if not addresses.is_own(address):
        addresses.check(addresses.resolved(address))  # before imports that take seconds
    from tuning.report.terminal import show
    from tuning.runner import Driver

    driver = Driver(settings.load(), console, settings.who(who), address)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # Ray prints there which of its workers died
        outcome = driver.run(checked, id) if checked else driver.resume(resume or "")
    checked = checked or driver.spec(outcome.sweep)
    if as_json:
        terminal.print_product(json.dumps(outcome.record(), indent=2))
    else:
        show(outcome, checked, console)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(sweep)
    terminal.run(app)
