"""Errors as answers: application/problem+json, RFC 9457."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "5"


class Problem(Exception):
    """A request that is answered with `status` and one sentence."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    def response(self, request_id: str) -> Response:
        """The answer; its `instance` is the request's id, which the log has too."""
        content = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": request_id,
        }
        return Response(orjson.dumps(content), self.status, self.headers, MEDIA_TYPE)


def unavailable(detail: str) -> Problem:
    """503: not this request is wrong, and the same one may be taken later."""
    return Problem(503, detail, {"Retry-After": RETRY_SECONDS})


async def answer(request: Request, error: Exception) -> Response:
    """Turn a Problem, or what the router raises for an unknown path or method, into its answer."""
    if isinstance(error, HTTPException):
        error = _of_router(error)
    if not isinstance(error, Problem):
        raise error
    return error.response(request.state.request_id)


def _of_router(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    if error.status_code == 405:
        return Problem(405, f"the method is not taken here; accepted: {headers.get('Allow')}", headers)
    return Problem(error.status_code, "there is no such route here; GET /model and POST /predict are", headers)
