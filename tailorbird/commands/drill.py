"""`tailorbird drill NAME`: a fire drill of the monitoring."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from registry.core import Registry
from tailorbird import settings, terminal
from tailorbird.commands.options import AsJson, Model, print_json, write_out
from tailorbird.errors import InvalidInput


def drill(
    name: Model,
    corruption: Annotated[str | None, typer.Option(help="A family of corruptions, as blur or noise.")] = None,
    severity: Annotated[float, typer.Option(help="Of the corruption, above 0 and up to 1.")] = 0.45,
    mix: Annotated[
        list[str] | None, typer.Option(metavar="CLASS=SHARE", help="The share that a class comes to have.")
    ] = None,
    unseen: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Images of this class become strangers of no class.")
    ] = None,
    flip: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="People come to call A what was B, and B what was A.")
    ] = None,
    labels: Annotated[
        Literal["prompt", "late", "uneven", "none"], typer.Option(help="How labels come: half of all, or as said.")
    ] = "prompt",
    out: Annotated[Path | None, typer.Option(help="Where to draw it (PNG); default: drill-NAME.png here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay the test split, spoiled from minute 12 on, and show what metrics, labels and watch make of it.

    It starts an endpoint with a home of its own, whose registry has the champion and the version before it: false
    labels reach no registry that serves people. A step of 100 images stands for a minute.

    Example: tailorbird drill demo --corruption blur --labels uneven
    """
    from tailorbird import results
    from tailorbird.drill import endpoint, picture
    from tailorbird.drill.replay import Drill
    from tailorbird.drill.traffic import Scenario, Traffic

    here, console = settings.load(), terminal.console(stderr=as_json)
    scenario = Scenario(corruption, severity, _shares(mix or []), unseen, flip, labels)
    with results.opened(name, here) as source, tempfile.TemporaryDirectory(prefix="tailorbird-drill-") as folder:
        split, classes = source.test(), source.task().classes
        traffic = Traffic(scenario, split, classes)
        own = endpoint.copy(here, name, Path(folder))
        steps = []
        with endpoint.serving(own, name) as served, Registry(own) as registry:
            for step in Drill(registry, served, traffic, name, classes).steps():
                steps.append(step)
                if step.action != "none" or step.minute == 0:
                    console.print(step.line(), soft_wrap=True)
    path = out or Path(f"drill-{name}.png")
    write_out(path, picture.draw(steps, f"{name}: {scenario}"))
    if as_json:
        print_json([step.record() for step in steps])
    else:
        states = Counter(step.state for step in steps if step.spoiled)
        console.print(f"of {states.total()} spoiled minutes {', '.join(f'{n} {state}' for state, n in states.items())}")
        console.print(f"picture: {path}", soft_wrap=True)


def _shares(mix: list[str]) -> dict[str, float]:
    shares = {}
    for one in mix:
        name, equals, share = one.rpartition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            equals = ""
        if not equals:
            raise InvalidInput("--mix", f"{one!r} is not accepted; accepted: CLASS=SHARE, as in Shirt=0.5")
    return shares
