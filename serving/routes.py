"""The routes of the endpoint."""

import asyncio
import logging

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry import versions
from registry.names import Reference
from registry.versions import Version
from serving import bodies, feedback, metrics, pixels
from serving.endpoint import Endpoint, Served
from serving.problems import unavailable
from tailorbird.errors import TailorbirdError

logger = logging.getLogger(__name__)


class Routes:
    """One method a route; an endpoint that is not ready answers 503 by itself."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def table(self) -> list[Route]:
        return [
            Route("/predict", self.predict, methods=["POST"]),
            Route("/feedback", self.feedback, methods=["POST"]),
            Route("/model", self.model),
            Route("/livez", self.livez),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
        ]

    async def predict(self, request: Request) -> Response:
        served, settings = self._endpoint.served, self._endpoint.settings
        media_type = bodies.media_type(request, *pixels.MEDIA_TYPES)
        body = await bodies.read(request, settings.max_body_bytes)
        found = await pixels.read(media_type, body, served.model.signature.shape, settings.max_pixels)
        if len(found) <= served.predictor.most_inline:
            answer = served.predictor.answer(found)
        else:
            answer = await asyncio.to_thread(served.predictor.answer, found)
        return Response(answer, media_type=bodies.JSON)

    async def feedback(self, request: Request) -> Response:
        served = self._endpoint.served
        bodies.media_type(request, bodies.JSON)
        labels = feedback.parse(await bodies.read(request, self._endpoint.settings.max_body_bytes))
        try:
            return _json(await served.labels.take(labels))
        except TailorbirdError as error:
            logger.error("request %s: labels were not kept: %s", request.state.request_id, error)
            raise unavailable(_not_kept(served)) from None

    async def model(self, _: Request) -> Response:
        served = self._endpoint.served
        version = await asyncio.to_thread(_as_of_now, served)
        return _json(
            {
                "model": version.model,
                "version": version.number,
                "aliases": version.aliases,
                "created": version.created,
                "signature": served.model.signature.record,
                "baseline": served.model.baseline,
                "evidence": version.evidence,
                "lineage": version.lineage,
            }
        )

    async def livez(self, _: Request) -> Response:
        return _json({"status": "live"})

    async def readyz(self, _: Request) -> Response:
        version = self._endpoint.served.model.version
        return _json({"status": "ready", "model": version.model, "version": version.number})

    async def metrics(self, _: Request) -> Response:
        return Response(await asyncio.to_thread(self._endpoint.metrics.render), media_type=metrics.MEDIA_TYPE)


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type=bodies.JSON)


def _as_of_now(served: Served) -> Version:
    # aliases move while a version is served; without its registry it answers with those that it was loaded with
    loaded = served.model.version
    try:
        return versions.resolve(served.registry, Reference(loaded.model, loaded.number))
    except TailorbirdError:
        return loaded


def _not_kept(served: Served) -> str:
    if served.registry.database.read_only:
        return "labels cannot be kept: the registry is read-only here; predictions are answered as usual"
    return "labels cannot be kept now: the registry cannot be written; send them again later"
