"""`tailorbird drill NAME`: a fire drill of the monitoring."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from tailorbird import settings, terminal
from tailorbird.commands.options import AsJson, Model, print_json, write_out
from tailorbird.errors import InvalidInput


def drill(
    name: Model,
    corruption: Annotated[str | None, typer.Option(help="Corruption of the images, such as blur or noise.")] = None,
    severity: Annotated[float, typer.Option(help="Severity of the corruption: above 0, at most 1.")] = 0.45,
    mix: Annotated[
        list[str] | None, typer.Option(metavar="CLASS=SHARE", help="New share of a class in the traffic.")
    ] = None,
    unseen: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Replace images of this class by ones unlike any class.")
    ] = None,
    flip: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="Swap the true labels of two classes.")
    ] = None,
    labels: Annotated[
        Literal["prompt", "late", "uneven", "none"] | None,
        typer.Option(help="How labels arrive; prompt (default): half of them, at once. With --url only none."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Use a running endpoint instead of starting one; requires --yes.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm that corrupted traffic may be sent to --url.")] = False,
    out: Annotated[Path | None, typer.Option(help="Output picture (PNG); default: drill-NAME.png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay the test split, corrupted from minute 12 on, and show how metrics, labels and the watch react.

    It starts an endpoint with a home of its own, whose registry has copies of the champion and the version before it,
    so that false labels do not reach your registry. A step of 100 examples stands for a minute. With --url it uses a
    running endpoint of this registry, such as a staging system, sends it no labels, and rolls nothing back.

    Example: tailorbird drill demo --corruption blur --labels uneven
    """
    from tailorbird import results
    from tailorbird.drill import endpoint, picture
    from tailorbird.drill.replay import ALERTS, POLICY, Drill
    from tailorbird.drill.traffic import Scenario, Traffic

    if url:
        _check_running(labels, confirmed=yes)
    here, console = settings.load(), terminal.console(stderr=as_json)
    scenario = Scenario(corruption, severity, _shares(mix or []), unseen, flip, labels or ("none" if url else "prompt"))
    steps, policy = [], ALERTS if url else POLICY
    with results.opened(name, here) as source:
        traffic = Traffic(scenario, source.test(), source.task().classes)
        with endpoint.running(here, name, url) if url else endpoint.own(here, name) as (served, registry):
            for step in Drill(registry, served, traffic, name, policy).steps():
                steps.append(step)
                if step.action != "none" or step.minute == 0:
                    console.print(step.line(), soft_wrap=True)
    path = out or Path(f"drill-{name}.png")
    write_out(path, picture.draw(steps, f"{name}: {scenario}"))
    if as_json:
        print_json([step.record() for step in steps])
        return
    states = Counter(step.state for step in steps if step.spoiled)
    console.print(f"of {states.total()} spoiled minutes {', '.join(f'{n} {state}' for state, n in states.items())}")
    console.print(f"picture: {path}", soft_wrap=True)


def _check_running(labels: str | None, *, confirmed: bool) -> None:
    """Raise InvalidInput if a drill of a running endpoint was not confirmed, or would store false labels."""
    if not confirmed:
        raise InvalidInput("--url", "sends corrupted traffic to an endpoint that may be in use; add --yes to confirm")
    if labels not in (None, "none"):
        raise InvalidInput(
            "--labels", "would store false labels in a registry that may be in use; accepted with --url: none"
        )


def _shares(mix: list[str]) -> dict[str, float]:
    shares = {}
    for word in mix:
        name, equals, share = word.rpartition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            equals = ""
        if not equals:
            raise InvalidInput("--mix", f"{word!r} is not accepted; accepted: CLASS=SHARE, as in Shirt=0.5")
    return shares
