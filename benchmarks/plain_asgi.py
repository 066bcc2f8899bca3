"""The limit that `benchmarks/serving.py` compares with: a bare handler that parses, runs and answers, unchecked."""

import os
from typing import Any

import numpy as np
import onnxruntime
import orjson

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["PLAIN_MODEL"], options)
NAME = session.get_inputs()[0].name
CLASSES = [str(index) for index in range(10)]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if (b"content-type", b"application/json") in scope["headers"]:
        pixels = np.array(orjson.loads(body)["inputs"], np.uint8)
    else:
        pixels = np.frombuffer(body, np.uint8).reshape(-1, 28, 28)
    rows = session.run(["probabilities"], {NAME: pixels})[0]
    winners = rows.argmax(axis=1).tolist()
    predictions = [
        {
            "label": CLASSES[index],
            "index": index,
            "confidence": row[index],
            "probabilities": dict(zip(CLASSES, row, strict=True)),
        }
        for index, row in zip(winners, rows, strict=True)
    ]
    content = {"model": "plain", "version": 1, "predictions": predictions}
    answer = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
