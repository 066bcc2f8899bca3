"""A worker process: its application, its start and its end."""

import asyncio
import contextlib
import gc
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette

from serving import protocol, standin
from serving.app import Application
from serving.endpoint import Endpoint
from serving.follower import Follower
from serving.metrics import Metrics
from serving.monitor import Monitor
from serving.routes import Routes
from serving.state import FOLDER
from serving.stopping import Stop
from tailorbird.settings import Settings

BEHIND = ("/healthz", "/schema.json")
"""The routes that BentoML's tools use; its other routes would show an API that this service does not have."""


def build(settings: Settings, bentoml_app: Starlette) -> Application:
    """One application that owns every route, and runs start-up and shutdown of both."""
    metrics = Metrics()
    endpoint = Endpoint(settings, metrics, Path(os.environ.get(FOLDER) or tempfile.mkdtemp(prefix="tailorbird-")))
    follower = Follower(endpoint)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with bentoml_app.router.lifespan_context(bentoml_app):
            await endpoint.pools.loading.run(follower.start)
            ready = await endpoint.pools.loading.run(lambda: standin.alive(endpoint.folder))
            stop = Stop(endpoint)
            tasks = [
                asyncio.create_task(run())
                for run in (follower.run, stop.watch, Monitor(endpoint).run, endpoint.keeper.run, _end_with_parent)
            ]
            gc.freeze()  # a full collection would scan all imported modules, and delay requests by 50 ms
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.gather(*tasks)
                endpoint.close()
                os.close(ready)

    application = Application(
        Routes(endpoint).table(),
        dict.fromkeys(BEHIND, bentoml_app),
        Starlette(lifespan=lifespan),
        metrics,
        settings.api_token.get_secret_value() if settings.api_token else None,
        stopping=lambda: endpoint.stopping,
    )
    protocol.install(application, settings.receive_seconds, settings.keep_alive_seconds)
    return application


async def _end_with_parent() -> None:
    # a killed server cannot stop its workers, which would keep its port for ever
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)
    signal.raise_signal(signal.SIGTERM)
