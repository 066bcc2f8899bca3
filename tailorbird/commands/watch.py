"""`tailorbird watch NAME`: monitor accuracy and act by a policy."""

import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from registry.core import Registry
from tailorbird import settings, terminal
from tailorbird.commands.options import AsJson, Model, print_json
from tailorbird.drift import policy as policies
from tailorbird.errors import InvalidInput, NotFound, TailorbirdError
from tailorbird.watch import counters
from tailorbird.watch.gauges import Gauges
from tailorbird.watch.look import BLIND, Look, Watch


def watch(
    name: Model,
    once: Annotated[bool, typer.Option("--once", help="Check once and exit with the status.")] = False,
    policy: Annotated[
        Path | None,
        typer.Option(help="Policy (YAML); default: TAILORBIRD_WATCH_POLICY, else only alert."),
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Expose the estimates as Prometheus metrics on this port.")
    ] = None,
    host: Annotated[str, typer.Option(envvar="HOST", help="Address of --metrics-port.")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Monitor the accuracy of the served version; alert, roll back or suggest a retraining, by its policy.

    Labels come from the registry's database, counters from TAILORBIRD_PROMETHEUS_URL. Exit status of --once: 0 healthy,
    10 a drop was acted on, 11 too little data, 12 something cannot be read and nothing was decided. Without --once, it
    exits with 12 if the first check cannot read; later checks are retried.

    Example: tailorbird watch demo --once
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # process 1 of a container would otherwise ignore it
    here = settings.load()
    rules = policies.load(policy or here.watch_policy)
    token = here.api_token.get_secret_value() if here.api_token else None
    source = counters.open_source(here.prometheus_url, token) if here.prometheus_url else None
    if once and metrics_port:
        raise InvalidInput("--metrics-port", "cannot be combined with --once")
    gauges = Gauges(host, metrics_port) if metrics_port else None
    with Registry(here) as registry:
        looking = Watch(registry, source, name, rules)
        first = True
        while True:
            look = _look(looking)
            if look is not None and (once or look.news):
                if as_json:
                    print_json(look.record())
                else:
                    _tell(look)
            if once or (look is None and first):  # if nothing could ever be read, the set-up is wrong
                raise typer.Exit(BLIND if look is None else look.status)
            first = False
            if gauges is not None:
                gauges.show(look)
            time.sleep(60 * rules.every)


def _look(looking: Watch) -> Look | None:
    """One check; None if something cannot be read."""
    try:
        return looking.look()
    except NotFound:
        raise
    except TailorbirdError as error:
        typer.echo(f"blind, no decision made: {error}", err=True)
        return None


def _tell(look: Look) -> None:
    console = terminal.console()
    console.print(f"{look.version}: {look.judgement.state}", soft_wrap=True, markup=False)
    for reason in look.reasons():
        console.print(f"  {reason}", soft_wrap=True, markup=False)
    if look.action.command:
        typer.echo(look.action.command)
