"""`tailorbird serve NAME`: the HTTP endpoint."""

from typing import Annotated

import typer

from serving import server
from tailorbird import settings


def serve(
    model: Annotated[
        str | None, typer.Argument(metavar="NAME[@ALIAS|:N]", help="Model to serve; default: TAILORBIRD_MODEL.")
    ] = None,
    host: Annotated[str, typer.Option(envvar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=1, max=65535, help="Port to listen on.")] = 3000,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Number of worker processes; default: the container's CPU limit, or 1 without one."),
    ] = None,
) -> None:
    """Serve predictions over HTTP until Ctrl-C.

    Example: tailorbird serve demo@champion --port 3000
    """
    configured = settings.load()
    server.serve(configured, model or configured.model, host, port, workers or server.workers())
