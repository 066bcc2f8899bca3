"""`tailorbird sweeps`: look at the ledger."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Column, Table

from registry import ledger
from tailorbird import terminal
from tailorbird.commands.options import AsJson, open_registry, print_json


def list_sweeps(as_json: AsJson = False) -> None:
    """All sweeps, newest first.

    Example: tailorbird sweeps list
    """
    with open_registry() as registry:
        found = ledger.sweeps(registry)
    if as_json:
        print_json([one.record() for one in found])
        return
    table = Table(Column("sweep", no_wrap=True), "status", "registered", "began (UTC)", "who", box=box.SIMPLE)
    for one in found:
        table.add_row(one.id, one.status, _version(one.spec, one.registered), one.created[:19], one.who)
    terminal.console().print(table)


def show(
    sweep: Annotated[str, typer.Argument(help="A sweep's id, from `sweeps list`.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """One sweep with its trials.

    Example: tailorbird sweeps show demo-1a2b3c
    """
    with open_registry() as registry:
        found = ledger.sweep(registry, sweep)
        trials = ledger.trials(registry, sweep)
    if as_json:
        print_json({**found.record(), "trials": [asdict(one) for one in trials]})
    else:
        _print(found, trials)


def _print(found: Any, trials: list[Any]) -> None:
    from tuning.report.results import kept
    from tuning.spec import parse
    from tuning.summary import cells, figure

    console, spec = terminal.console(), parse(found.spec)
    console.print(f"{found.id}: {found.status}, began {found.created[:19]} UTC by {found.who}")
    if found.problem:
        console.print(found.problem, style="red")
    if found.registered:
        console.print(f"registered {_version(found.spec, found.registered)}")
    metric = spec.objective.metric
    table = Table("trial", "status", "epochs", metric, *spec.varied.values(), box=box.SIMPLE)
    for one in trials:
        reached = kept(one).metrics.get(metric) if one.reports else None
        epochs = f"{one.reports[-1].epoch if one.reports else 0}/{one.config['epochs']}"
        table.add_row(str(one.number), one.status, epochs, figure(reached), *cells(*spec.values(one.config)))
    console.print(table)
    for one in trials:
        if one.problem:
            console.print(f"trial {one.number}: {one.problem}", style="red")


def _version(spec: dict[str, Any], number: int | None) -> str:
    return f"{spec['promote']['model']}:{number}" if number else "-"
