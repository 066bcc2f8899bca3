import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serving import worker
from tailorbird.settings import Settings


class Behind:
    """In the place of BentoML's own application: notes what happens to it."""

    def __init__(self):
        self.seen = []
        self.app = Starlette(routes=[Route("/{path:path}", self.answer)], lifespan=self.lifespan)

    async def answer(self, request):
        self.seen.append(request.url.path)
        return PlainTextResponse("behind")

    @asynccontextmanager
    async def lifespan(self, _):
        self.seen.append("start")
        yield
        self.seen.append("stop")


async def run_lifespan(app, within):
    """Starts an ASGI application as a server does, and stops it after `within`."""
    messages = asyncio.Queue()
    started, stopped = asyncio.Event(), asyncio.Event()

    async def send(message):
        (started if message["type"] == "lifespan.startup.complete" else stopped).set()

    running = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, messages.get, send))
    await messages.put({"type": "lifespan.startup"})
    await started.wait()
    try:
        return await within()
    finally:
        await messages.put({"type": "lifespan.shutdown"})
        await stopped.wait()
        await running


def ask(settings, behind, *paths, **headers):
    async def main():
        app = worker.build(settings, behind.app)

        async def requests():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
                return [await client.get(path) for path in paths]

        return await run_lifespan(app, requests)

    return asyncio.run(main())


def test_owns_the_routes_and_runs_both_lifespans(settings):
    behind = Behind()
    ready, schema, index = ask(settings, behind, "/readyz", "/schema.json", "/nothing")
    assert ready.json()["model"] == "demo"
    assert schema.text == "behind"
    assert schema.headers["x-request-id"]
    assert index.status_code == 404
    assert behind.seen == ["start", "/schema.json", "stop"]


def test_the_token_guards_what_is_behind_too(settings):
    guarded = Settings(_env_file=None, home=settings.home, api_token="a secret token")
    behind = Behind()
    answers = ask(guarded, behind, "/schema.json", "/metrics", "/model", "/readyz")
    assert [answer.status_code for answer in answers] == [401, 401, 401, 200]
    assert behind.seen == ["start", "stop"]
    answers = ask(guarded, behind, "/schema.json", "/metrics", "/model", authorization="Bearer a secret token")
    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_stays_without_a_model(tmp_path):
    alive, ready, model = ask(Settings(_env_file=None, home=tmp_path), Behind(), "/livez", "/readyz", "/model")
    assert alive.status_code == 200
    assert ready.status_code == model.status_code == 503
    assert "the registry is empty" in ready.json()["detail"]


def test_makes_nothing_at_import(tmp_path):
    code = (
        "import serving.service, serving.server, prometheus_client, threading, sys\n"
        "assert threading.active_count() == 1\n"
        "names = [n for n in prometheus_client.REGISTRY._names_to_collectors if 'tailorbird' in n or 'bento' in n]\n"
        "assert not names, names\n"
        "assert not {'torch', 'ray', 'training', 'tuning', 'tailorbird.cli'} & set(sys.modules)\n"
    )
    clean = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=clean, check=True)
    assert not list(tmp_path.iterdir())
