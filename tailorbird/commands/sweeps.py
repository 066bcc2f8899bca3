"""`tailorbird sweeps`: list, show, cancel and extend sweeps."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from registry import leases, ledger
from registry.core import Registry
from tailorbird import settings, tables, terminal
from tailorbird.commands.options import AsJson, Who, open_registry, print_json
from tailorbird.errors import InvalidInput


def list_sweeps(as_json: AsJson = False) -> None:
    """List sweeps, newest first.

    Example: tailorbird sweeps list
    """
    with open_registry() as registry:
        listed = ledger.sweeps(registry)
    if as_json:
        print_json([sweep.record() for sweep in listed])
        return
    rows = [
        [sweep.id, sweep.standing, _version(sweep.spec, sweep.registered), tables.moment(sweep.created), sweep.who]
        for sweep in listed
    ]
    console = terminal.console()
    table = tables.fitting(console, ["sweep", "status", "registered", "began (UTC)", "who"], rows, apart=2)
    table.columns[0].no_wrap = True  # ids are copied from here
    console.print(table)


Sweep = Annotated[str, typer.Argument(help="A sweep's id, from `sweeps list`.", show_default=False)]


def show(
    sweep: Sweep,
    follow: Annotated[bool, typer.Option("--follow", help="Follow the sweep until it ends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a sweep and its trials.

    Example: tailorbird sweeps show demo-1a2b3c
    """
    with open_registry() as registry:
        if follow:
            _follow(registry, ledger.sweep(registry, sweep))
        shown = ledger.sweep(registry, sweep)
        trials = ledger.trials(registry, sweep)
    if as_json:
        print_json({**shown.record(), "trials": [asdict(trial) for trial in trials]})
    else:
        _print(shown, trials)


def cancel(sweep: Sweep, who: Who = None) -> None:
    """Cancel a sweep, wherever it runs; its process stops at its next report.

    Example: tailorbird sweeps cancel demo-1a2b3c
    """
    with open_registry() as registry:
        leases.cancel(registry, sweep, settings.who(who))
        terminal.console().print(f"{sweep} is {ledger.sweep(registry, sweep).status}")


def extend(
    sweep: Sweep,
    trials: Annotated[str | None, typer.Option(metavar="+N", help="Add this many trials, as +N.")] = None,
    epochs: Annotated[
        str | None,
        typer.Option(metavar="+N", help="Train this many epochs longer, as +N; requires a constant learning rate."),
    ] = None,
    thaw: Annotated[
        int | None, typer.Option(metavar="TRIAL", help="Continue a trial that was paused or stopped.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Retry the failed trials.")] = False,
    address: Annotated[str | None, typer.Option(help="Ray cluster; default: RAY_ADDRESS, else a local one.")] = None,
    who: Who = None,
) -> None:
    """Continue a sweep beyond its spec: with more trials, more epochs, a paused trial, or the failed ones.

    Example: tailorbird sweeps extend demo-1a2b3c --trials +8

    Example: tailorbird sweeps extend demo-1a2b3c --epochs +10
    """
    if [trials is not None, epochs is not None, thaw is not None, failed].count(True) != 1:
        raise InvalidInput("extend", "requires one of --trials +N, --epochs +N, --thaw TRIAL and --failed")
    from tuning import extension
    from tuning.report.terminal import show as show_ending
    from tuning.runner import Driver

    loaded, user, console = settings.load(), settings.who(who), terminal.console()
    driver = Driver(loaded, console, user, address)
    with open_registry() as registry:
        driver.check(registry, ledger.sweep(registry, sweep))  # before the ledger is changed
        if trials is not None:
            extension.add_trials(registry, sweep, _count("trials", trials), loaded.lease_seconds, user)
        elif epochs is not None:
            extension.lengthen(registry, sweep, _count("epochs", epochs), loaded.lease_seconds, user)
        elif thaw is not None:
            extension.thaw(registry, sweep, thaw, loaded.lease_seconds, user)
        else:
            extension.retry(registry, sweep, loaded.lease_seconds, user)
    show_ending(driver.resume(sweep), driver.spec(sweep), console)


def _count(what: str, text: str) -> int:
    number = text.removeprefix("+")
    if not (number.isascii() and number.isdecimal() and 0 < int(number) <= 100_000):
        raise InvalidInput(f"--{what}", f"{text!r} is not a number of {what}; accepted: +1 to +100000")
    return int(number)


def _follow(registry: Registry, sweep: ledger.Sweep) -> None:
    """Show a sweep while it is running."""
    from tuning.follower import Follower
    from tuning.progress import LiveTable
    from tuning.spec import stored

    spec = stored(sweep.spec)
    follower = Follower(registry, sweep.id, spec)
    with LiveTable(spec, terminal.console()) as table:
        while True:
            running = ledger.sweep(registry, sweep.id).standing == "running"
            table.show(follower, follower.poll())
            if not running:
                return
            time.sleep(1)


def _print(sweep: ledger.Sweep, trials: list[ledger.Trial]) -> None:
    from tuning.report.results import kept
    from tuning.spec import stored
    from tuning.summary import cells, figure

    console, spec = terminal.console(), stored(sweep.spec)
    console.print(f"{sweep.id}: {_standing(sweep)}, began {tables.moment(sweep.created)} UTC by {sweep.who}")
    if sweep.problem:
        console.print(sweep.problem, style="red")
    if sweep.registered:
        console.print(f"registered {_version(sweep.spec, sweep.registered)}")
    if spec.timed:
        console.print(f"depends on timing, because of {', '.join(spec.timed)}", style="yellow")
    metric = spec.objective.metric
    columns, rows = ["trial", "status", "epochs", f"best {metric}", *spec.varied.values()], []
    for trial in trials:
        reached = kept(trial).metrics.get(metric) if trial.reports else None
        epochs = f"{trial.reports[-1].epoch if trial.reports else 0}/{trial.config['epochs']}"
        rows.append([str(trial.number), trial.status, epochs, figure(reached), *cells(*spec.values(trial.config))])
    tables.show_rows(console, columns, rows, apart=4)
    for trial in trials:
        if trial.problem:
            console.print(f"trial {trial.number}: {trial.problem}", style="red")


def _standing(sweep: ledger.Sweep) -> str:
    if sweep.standing != "abandoned":
        return sweep.standing
    return f"abandoned: its process is gone; resume it with `tailorbird sweep --resume {sweep.id}`"


def _version(spec: dict[str, Any], number: int | None) -> str:
    return f"{spec['promote']['model']}:{number}" if number else "-"
