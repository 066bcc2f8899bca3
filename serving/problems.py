"""Errors as responses: application/problem+json, RFC 9457."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson

from serving.answers import Answer

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "5"


class Problem(Exception):
    """An error that is answered with `status` and one sentence."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    def answer(self, request_id: str) -> Answer:
        """The response; its `instance` is the request's id, which is also in the log."""
        content = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": request_id,
        }
        return Answer(orjson.dumps(content), MEDIA_TYPE, self.status, self.headers)


class Shed(Problem):
    """503 because of load or time; `reason` is its label in the metrics."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(503, detail, {"Retry-After": "1"})
        self.reason = reason


def unavailable(detail: str) -> Problem:
    """503: the request is not at fault, and may be repeated later."""
    return Problem(503, detail, {"Retry-After": RETRY_SECONDS})


def unauthorised() -> Problem:
    return Problem(
        401,
        "accepted: a header `Authorization: Bearer TOKEN` with the token of this endpoint",
        {"WWW-Authenticate": "Bearer"},
    )


def unknown_route() -> Problem:
    return Problem(404, "there is no such route; GET /model and POST /predict are")


def wrong_method(accepted: str) -> Problem:
    return Problem(405, f"this route does not take the method; accepted: {accepted}", {"Allow": accepted})


def defect() -> Problem:
    return Problem(500, "the request could not be answered; the log has the reason under this instance")
