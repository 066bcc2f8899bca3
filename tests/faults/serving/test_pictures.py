"""More large pictures than can be decoded in time: most are shed at once, and none is decoded that nobody waits for."""

import asyncio
import os

import httpx

from tailorbird.settings import Settings
from tests.faults.serving.test_inputs import FORM, PNG, form, picture
from tests.faults.serving.test_overload import shed
from tests.waiting import BOUND_SECONDS

QUEUE, REQUEST_SECONDS = 4, 3
LARGE, FILES = picture("1", size=(3990, 4000)), 200
SMALL = picture(size=(600, 600))
FORMS = 2 * (QUEUE + len(os.sched_getaffinity(0)))


async def flood(url) -> tuple[list[httpx.Response], list[httpx.Response]]:
    """The responses to forms that come all at once, and to small pictures that come meanwhile, one by one."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=BOUND_SECONDS, limits=limits) as client:

        async def ask(media_type, content):
            return await client.post("/predict", content=content, headers={"Content-Type": media_type})

        body = form(*[LARGE] * FILES)
        forms = asyncio.gather(*(ask(FORM, body) for _ in range(FORMS)))
        small = []
        while not forms.done():
            small.append(await ask(PNG, SMALL))
        return await forms, small


def test_a_flood_of_large_forms(tmp_path, register, toy, start):
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files())
    limits = {
        "TAILORBIRD_MAX_QUEUE": str(QUEUE),
        "TAILORBIRD_MAX_PIXELS": str(10**9),
        "TAILORBIRD_REQUEST_SECONDS": str(REQUEST_SECONDS),
    }
    server = start(settings, **limits).wait()
    forms, small = asyncio.run(flood(server.url))
    after = server.client.post("/predict", content=SMALL, headers={"Content-Type": PNG})
    assert after.status_code == 200, after.text

    assert {response.status_code for response in forms} == {503}
    assert {response.status_code for response in small} <= {200, 503}
    problems = [response for response in [*forms, *small] if response.is_error]
    assert {response.headers["retry-after"] for response in problems} == {"1"}
    refused = sum("overloaded" in response.text for response in problems)
    assert any("overloaded" in response.text for response in forms)
    assert shed(server, "queue") == refused
    assert shed(server, "deadline") == len(problems) - refused
    assert server.stop() == 0
