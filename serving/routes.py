"""The routes of the endpoint."""

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial

from registry import versions
from registry.cards import card as cards
from registry.cards import facts
from registry.names import Reference
from registry.version import Version
from serving import answers, bodies, drift, feedback, metrics, openapi, pages, problems
from serving.answers import Answer, Promise
from serving.app import Route
from serving.challenger import Answered
from serving.endpoint import Endpoint, Served
from serving.examples import Examples
from serving.inputs import PICTURES
from serving.predictor import Predicted
from serving.problems import Problem
from serving.requests import Request
from tailorbird.errors import ReadOnly, TailorbirdError

logger = logging.getLogger(__name__)

MODEL_SECONDS = 2
"""Seconds that `/model` waits for the current aliases from the registry."""
CARD_SECONDS = 10
DRIFT_SECONDS = 10
READING_SECONDS = 1.0
"""What reading inputs in a thread counts for, whatever they are: how large pictures are is known only in the thread."""
GET = ("GET", "HEAD")
POST = ("POST",)


class Routes:
    """One method per route; without a model, `endpoint.served` raises Problem 503."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def table(self) -> dict[str, Route]:
        return {path: route(self) for path, route in ROUTES.items()}

    async def predict(self, request: Request) -> Answer:
        endpoint = self._endpoint
        served = endpoint.served
        reader = served.reader
        media_type = bodies.media_type(request, *reader.media_types)
        body = await bodies.read(request, endpoint.settings.max_body_bytes)
        content_type = request.headers[b"content-type"]
        since = asyncio.get_running_loop().time()
        examples = reader.read_inline(media_type, content_type, body)
        if examples is None:
            examples = await self._read(partial(reader.read, media_type, content_type, body), since)
        answer = self._predicted(served, examples, since)
        return answer if isinstance(answer, Answer) else answer.finish(await answer.result)

    async def pixels(self, request: Request) -> Answer:
        """A picture as the model sees it, in the form that `/predict` accepts."""
        endpoint = self._endpoint
        reader = endpoint.served.reader
        media_type = bodies.media_type(request, *PICTURES)
        if media_type not in reader.media_types:
            raise Problem(422, f"the model takes {reader.signature.input}, not pictures")
        body = await bodies.read(request, endpoint.settings.max_body_bytes)
        examples = await self._read(partial(reader.read, media_type, b"", body))
        return answers.of_json({"inputs": examples.tolist()})

    def predict_inline(self, request: Request, body: bytes) -> Answer | Promise | None:
        """The same for a small body."""
        endpoint = self._endpoint
        served = endpoint.served
        media_type = bodies.media_type(request, *served.reader.media_types)
        if len(body) > endpoint.settings.max_body_bytes:
            return None
        examples = served.reader.read_inline(media_type, request.headers[b"content-type"], body)
        return None if examples is None else self._predicted(served, examples)

    async def _read(self, read: Callable[[Callable[[], bool]], Examples], since: float | None = None) -> Examples:
        """The examples of a body, read in a thread that is told when nobody waits for them; raises Problem."""
        abandoned = threading.Event()
        try:
            return await self._endpoint.readings.start(READING_SECONDS, partial(read, abandoned.is_set), since)
        finally:
            abandoned.set()

    def _predicted(self, served: Served, examples: Examples, since: float | None = None) -> Answer | Promise:
        """The answer for examples: at once if they are few, the model is fast and nothing waits; raises Shed."""
        backlog, predictor = self._endpoint.backlog, served.predictor
        if len(examples) <= predictor.most_inline and backlog.empty:
            return self._answered(served, examples, predictor.answer(examples))

        def finish(predicted: Predicted) -> Answer:
            predictor.count(predicted)
            return self._answered(served, examples, predicted)

        seconds = served.model.session.estimate(len(examples))
        return Promise(backlog.start(seconds, partial(predictor.predict, examples), since), finish)

    def _answered(self, served: Served, examples: Examples, predicted: Predicted) -> Answer:
        return Answer(predicted.body, afterwards=self._afterwards(served, examples, predicted))

    def _afterwards(self, served: Served, examples: Examples, predicted: Predicted) -> Callable[[], None] | None:
        """What remains to be done after the response is sent: the challenger, and keeping inputs."""
        shadow, keeper = self._endpoint.shadow, self._endpoint.keeper
        if shadow.predictor is None and not keeper.wanted:
            return None

        def afterwards() -> None:
            shadow.follow(Answered(served.version, examples, predicted.labels, predicted.receipts))
            if keeper.wanted:
                keeper.keep(served.version.number, examples, predicted.receipts)

        return afterwards

    async def feedback(self, request: Request) -> Answer:
        endpoint = self._endpoint
        _ = endpoint.served
        bodies.media_type(request, answers.JSON)
        labels = feedback.parse(await bodies.read(request, endpoint.settings.max_body_bytes))
        try:
            return answers.of_json(await endpoint.labels.take(labels))
        except TailorbirdError as error:
            logger.error("request %s: labels were not kept: %s", request.id, error)
            raise problems.unavailable(_not_kept(error)) from None

    async def model(self, _: Request) -> Answer:
        served = self._endpoint.served
        version = served.version
        return answers.of_json(
            {
                "model": version.model,
                "version": version.number,
                "manifest": version.manifest,
                "aliases": await self._aliases(version),
                "created": version.created,
                "signature": served.model.signature.record(),
                "baseline": served.model.baseline.record(),
                "evidence": version.evidence.record(),
                "lineage": version.lineage.record(),
            }
        )

    async def card(self, request: Request) -> Answer:
        endpoint = self._endpoint
        gather = partial(facts.gather, endpoint.registry, endpoint.served.version)
        try:
            async with asyncio.timeout(CARD_SECONDS):
                card = cards.html(await endpoint.pools.registry.run(gather))
        except (TailorbirdError, TimeoutError) as error:
            logger.error("request %s: there is no model card: %s", request.id, error or "it took too long")
            raise problems.unavailable("the model card is not available: the registry lacks parts of it") from None
        return Answer(card.encode(), pages.HTML, headers=pages.HEADERS)

    async def samples(self, _: Request) -> Answer:
        model = self._endpoint.served.model
        if model.samples is None:
            return answers.of_json({"samples": []})
        pairs = zip(model.samples.labels.tolist(), model.samples.inputs.tolist(), strict=True)
        return answers.of_json(
            {"samples": [{"label": model.signature.classes[label], "input": example} for label, example in pairs]}
        )

    async def openapi(self, _: Request) -> Answer:
        endpoint = self._endpoint
        token = endpoint.settings.api_token is not None
        return answers.of_json(openapi.describe(self.table(), endpoint.served.reader, token))

    async def docs(self, _: Request) -> Answer:
        return pages.shell("docs", "Routes")

    async def page(self, _: Request) -> Answer:
        return pages.shell("try", "Try the model")

    async def livez(self, _: Request) -> Answer:
        return answers.of_json({"status": "live"})

    async def readyz(self, _: Request) -> Answer:
        version = self._endpoint.served.version
        if self._endpoint.stopping:
            raise problems.unavailable("the server is stopping")
        content = {"status": "ready", "model": version.model, "version": version.number}
        state = self._endpoint.state.read()
        if state is not None and state.stale is not None:
            content |= {"status": "stale", "since": state.stale.since, "problem": state.stale.problem}
        if state is not None and state.failures:
            content["failed"] = [
                {"version": failure.version.number, "problem": failure.problem} for failure in state.failures
            ]
        return answers.of_json(content)

    async def metrics(self, _: Request) -> Answer:
        endpoint = self._endpoint
        return Answer(await endpoint.pools.metrics.run(endpoint.metrics.render), metrics.MEDIA_TYPE)

    async def drift(self, _: Request) -> Answer:
        return pages.shell("drift", "Drift")

    async def drift_content(self, request: Request) -> Answer:
        endpoint = self._endpoint
        ask = partial(drift.content, endpoint.served, endpoint.metrics, endpoint.registry)
        try:
            async with asyncio.timeout(DRIFT_SECONDS):
                return answers.of_json(await endpoint.pools.registry.run(ask))
        except (TailorbirdError, TimeoutError) as error:
            logger.error("request %s: labels cannot be read: %s", request.id, error or "it took too long")
            raise problems.unavailable("labels cannot be read now: the registry does not answer") from None

    async def _aliases(self, served: Version) -> tuple[str, ...] | None:
        """The current aliases of a version, which may have changed since it was loaded; None if unknown."""
        ask = partial(versions.resolve, self._endpoint.registry, Reference(served.model, served.number))
        try:
            async with asyncio.timeout(MODEL_SECONDS):
                return (await self._endpoint.pools.registry.run(ask)).aliases
        except (TailorbirdError, TimeoutError):
            return None


def _not_kept(error: TailorbirdError) -> str:
    if isinstance(error, ReadOnly):
        return "labels cannot be stored: the registry is read-only; predictions are not affected"
    return "labels cannot be stored now: the registry cannot be written; send them again later"


ROUTES: dict[str, Callable[[Routes], Route]] = {
    "/predict": lambda routes: Route(POST, routes.predict, inline=routes.predict_inline),
    "/pixels": lambda routes: Route(POST, routes.pixels),
    "/feedback": lambda routes: Route(POST, routes.feedback),
    "/model": lambda routes: Route(GET, routes.model),
    "/card": lambda routes: Route(GET, routes.card),
    "/samples.json": lambda routes: Route(GET, routes.samples),
    "/livez": lambda routes: Route(GET, routes.livez, open=True),
    "/readyz": lambda routes: Route(GET, routes.readyz, open=True),
    "/metrics": lambda routes: Route(GET, routes.metrics),
    "/drift": lambda routes: Route(GET, routes.drift, open=True),
    "/drift.json": lambda routes: Route(GET, routes.drift_content),
    "/openapi.json": lambda routes: Route(GET, routes.openapi),
    "/docs": lambda routes: Route(GET, routes.docs, open=True),
    "/": lambda routes: Route(GET, routes.page, open=True),
}
