"""`/openapi.json`: an OpenAPI 3.1 description of the routes, for the served model."""

from collections.abc import Mapping, Sequence
from typing import Any

import tailorbird
from serving import multipart, problems
from serving.answers import JSON
from serving.app import Route
from serving.inputs import OCTETS, PICTURES, Reader
from serving.metrics import MEDIA_TYPE as METRICS
from serving.pages import HTML
from tailorbird.package.signature import Signature

Content = dict[str, Any]

WORDS = {
    400: "malformed",
    401: "the token of this endpoint is missing or wrong",
    408: "the request arrived too slowly",
    413: "too large",
    415: "an unsupported content type or encoding",
    422: "a wrong shape, range or type",
    431: "a head over 64 KiB",
    503: "overloaded, stopping, or without a model",
}
ALWAYS = (400, 408, 431, 503)
"""Responses that any route may give: to malformed requests, or while there is no worker."""
BODY = (413, 415, 422)


def describe(routes: Mapping[str, Route], reader: Reader, token: bool) -> Content:
    """The description; `token` says whether the endpoint asks for one."""
    operations = _operations(reader)
    # which answers 422 to everything if the model is of a table
    useless = () if PICTURES[0] in reader.media_types else ("/pixels",)
    components: Content = {"schemas": _schemas(reader)}
    document: Content = {
        "openapi": "3.1.0",
        "info": {
            "title": "Tailorbird endpoint",
            "version": tailorbird.__version__,
            "description": f"Answers for {reader.signature.input}.",
        },
        "paths": {path: _path(route, operations[path], token) for path, route in routes.items() if path not in useless},
        "components": components,
    }
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _path(route: Route, operation: Content, token: bool) -> Content:
    """The one operation of a path; HEAD, which every GET route accepts, is not listed."""
    statuses = sorted({*operation.pop("problems"), *ALWAYS, *([401] if token and not route.open else [])})
    problem = {"content": {problems.MEDIA_TYPE: {"schema": _ref("Problem")}}}
    responses = operation["responses"] | {str(status): {"description": WORDS[status], **problem} for status in statuses}
    security: Content = {"security": []} if token and route.open else {}
    return {route.methods[0].lower(): operation | {"responses": responses} | security}


def _operations(reader: Reader) -> dict[str, Content]:
    page = {HTML.partition(";")[0]: {"schema": {"type": "string"}}}
    return {
        "/predict": {
            "summary": "Predict",
            "requestBody": {"required": True, "content": _inputs(reader)},
            **_answers("a prediction for each input, in order", _json(_ref("Predictions")), BODY),
        },
        "/pixels": {
            "summary": "Convert a picture to the model's input, as /predict accepts it",
            "requestBody": {"required": True, "content": {kind: {} for kind in PICTURES}},
            **_answers("the picture in the size and mode of the model", _json(_ref("Inputs")), BODY),
        },
        "/feedback": {
            "summary": "Send true labels with the receipts of predictions",
            "requestBody": {"required": True, "content": _json(_ref("Labels"))},
            **_answers("the outcome of each label", _json(_ref("Counts")), BODY),
        },
        "/model": {
            "summary": "The served version: signature, baseline, evidence, lineage",
            **_answers("the version", _json(_ref("Version"))),
        },
        "/card": {"summary": "The model card", **_answers("a page with curves and confusion matrix", page)},
        "/samples.json": {
            "summary": "A few held-out examples with their classes, where the package has any",
            **_answers("the examples", _json(_ref("Samples"))),
        },
        "/livez": {"summary": "Whether the process is alive", **_answers("it does", _json(_ref("Status")))},
        "/readyz": {
            "summary": "Whether the server has a model, and whether it is stale",
            **_answers("there is", _json(_ref("Status"))),
        },
        "/metrics": {
            "summary": "Metrics for Prometheus",
            **_answers("all metrics", {METRICS.partition(";")[0]: {"schema": {"type": "string"}}}),
        },
        "/drift": {"summary": "The monitoring page", **_answers("a page that asks for /drift.json", page)},
        "/drift.json": {
            "summary": "Accuracy of the served version, measured and estimated",
            **_answers("the data of the monitoring page", _json({"type": "object"})),
        },
        "/openapi.json": {
            "summary": "This description",
            **_answers("OpenAPI 3.1", _json({"type": "object"})),
        },
        "/docs": {"summary": "This description as a page", **_answers("a page that asks for it", page)},
        "/": {"summary": "A page to try the model", **_answers("a page that asks for the model", page)},
    }


def _answers(description: str, content: Content, statuses: Sequence[int] = ()) -> Content:
    return {"responses": {"200": {"description": description, "content": content}}, "problems": statuses}


def _inputs(reader: Reader) -> Content:
    octets = "rows of little-endian float64" if reader.signature.kind == "table" else "one byte for each value"
    described: dict[str, Content] = {
        JSON: {"schema": _ref("Inputs")},
        OCTETS: {"schema": {"type": "string", "format": "binary", "description": f"any number of inputs: {octets}"}},
        multipart.MEDIA_TYPE: {
            "schema": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"type": "string", "format": "binary", "description": "a picture"},
            }
        },
    }
    return {media_type: described.get(media_type, {}) for media_type in reader.media_types}


def _schemas(reader: Reader) -> dict[str, Content]:
    signature = reader.signature
    text, count, anything = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "object"}
    label = {"enum": list(signature.classes)}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    prediction = _object(
        label=label,
        index={"type": "integer", "minimum": 0, "maximum": len(signature.classes) - 1},
        confidence=share,
        probabilities=_object(**dict.fromkeys(signature.classes, share)),
        receipt=text,
    )
    reason = _object(index=count, reason=text, detail=text)
    return {
        "Inputs": _closed(inputs=_list(_input(signature), minItems=1, maxItems=reader.max_rows)),
        "Predictions": _object(model=text, version=count, predictions=_list(prediction)),
        "Labels": _closed(labels=_list(_closed(receipt=text, label=text), minItems=1, maxItems=1000)),
        "Counts": _object(accepted=count, duplicate=count, conflict=count, rejected=count, reasons=_list(reason)),
        "Version": _object(
            model=text, version=count, manifest=text, aliases=_list(text) | {"type": ["array", "null"]}, created=text,
            signature=anything, baseline=anything, evidence=anything, lineage=anything,
        ),
        "Samples": _object(samples=_list(_object(label=label, input=_input(signature)))),
        "Status": {"type": "object", "properties": {"status": text}, "required": ["status"]},
        "Problem": _object(type=text, title=text, status={"type": "integer"}, detail=text, instance=text),
    }  # fmt: skip


def _input(signature: Signature) -> Content:
    if signature.kind == "image":
        schema: Content = {"type": "integer", "minimum": 0, "maximum": 255}
        for size in reversed(signature.shape):
            schema = _list(schema, minItems=size, maxItems=size)
        return schema
    number = {"type": "number"}
    row = _list(number, minItems=signature.shape[0], maxItems=signature.shape[0])
    if signature.columns is None:
        return row
    return {"anyOf": [row, _closed(**dict.fromkeys(signature.columns, number))]}


def _object(**properties: Content) -> Content:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _closed(**properties: Content) -> Content:
    return _object(**properties) | {"additionalProperties": False}


def _list(items: Content, **limits: int) -> Content:
    return {"type": "array", "items": items, **limits}


def _json(schema: Content) -> Content:
    return {JSON: {"schema": schema}}


def _ref(name: str) -> Content:
    return {"$ref": f"#/components/schemas/{name}"}
