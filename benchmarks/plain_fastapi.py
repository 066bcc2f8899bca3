"""What `benchmarks/serving.py` compares with: the same model behind FastAPI, with models of request and response.

Bodies are read by orjson, as FastAPI's documentation shows for a request class of one's own. Answers are written by
pydantic, which FastAPI calls faster than its ORJSONResponse and prefers where a model is declared.
"""

import os
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

Pixel = Annotated[int, Field(ge=0, le=255, strict=True)]


class Images(BaseModel):
    """Images of 28x28 pixels."""

    inputs: Annotated[list[list[list[Pixel]]], Field(min_length=1)]


class Prediction(BaseModel):
    """The likeliest class of an image."""

    label: str
    index: int
    confidence: float
    probabilities: dict[str, float]


class Predictions(BaseModel):
    """Those of one request."""

    model: str
    version: int
    predictions: list[Prediction]


class OrjsonRequest(Request):
    """Reads its body by orjson."""

    async def json(self) -> Any:
        return orjson.loads(await self.body())


class OrjsonRoute(APIRoute):
    """Hands such requests on."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(OrjsonRequest(request.scope, request.receive))

        return handle


options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["PLAIN_MODEL"], options)
CLASSES = [str(index) for index in range(10)]
app = FastAPI()
app.router.route_class = OrjsonRoute


@app.post("/predict")
async def predict(images: Images) -> Predictions:
    try:
        pixels = np.array(images.inputs, np.uint8)
        (rows,) = session.run(["probabilities"], {session.get_inputs()[0].name: pixels})
    except Exception as error:
        raise HTTPException(422, "images of another shape") from error
    predictions = [
        Prediction(
            label=CLASSES[index],
            index=index,
            confidence=row[index],
            probabilities=dict(zip(CLASSES, row, strict=True)),
        )
        for row in rows.tolist()
        for index in [max(range(10), key=row.__getitem__)]
    ]
    return Predictions(model="plain", version=1, predictions=predictions)
