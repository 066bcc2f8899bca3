"""The ASGI application: our routes in front, BentoML's own application behind them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from serving import problems
from serving.endpoint import Endpoint
from serving.envelope import Envelope
from serving.metrics import Metrics
from serving.routes import Routes
from tailorbird.settings import Settings

BEHIND = ("/healthz", "/schema.json")
"""What BentoML's own tools ask for; the rest of its routes would show an API that this service does not have."""


def build(settings: Settings, bentoml_app: Starlette) -> Starlette:
    """One application that owns every route, and runs the start and stop of both."""
    metrics = Metrics()
    endpoint = Endpoint(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with bentoml_app.router.lifespan_context(bentoml_app):
            await asyncio.to_thread(endpoint.open)
            orphaned = asyncio.create_task(_end_with_parent())
            try:
                yield
            finally:
                orphaned.cancel()
                endpoint.close()

    routes = Routes(endpoint).table()
    token = settings.api_token.get_secret_value() if settings.api_token else None
    app = Starlette(
        routes=[*routes, *(Route(path, bentoml_app) for path in BEHIND)],
        middleware=[
            Middleware(
                Envelope,
                paths=[route.path for route in routes],
                metrics=metrics,
                token=token,
            )
        ],
        exception_handlers={problems.Problem: problems.answer, HTTPException: problems.answer},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


async def _end_with_parent() -> None:
    # a server that was killed outright cannot stop its workers, and they would hold its port for ever
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)
    signal.raise_signal(signal.SIGTERM)
