"""The JSON of a response, assembled from parts that are encoded once per version: a fifth of the time of `dumps`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from registry.version import Version
from serving.examples import FEW


class Encoding:
    """Writes the answers of one version."""

    def __init__(self, version: Version, classes: Sequence[str]) -> None:
        self._head = b'{"model":%b,"version":%d,"predictions":[' % (_json(version.model), version.number)
        self._starts = [b'{"label":%b,"index":%d,"confidence":' % (_json(name), i) for i, name in enumerate(classes)]
        keys = [_json(name) + b":" for name in classes]
        self._keys = [b',"probabilities":{' + keys[0], *(b"," + key for key in keys[1:])]
        template = b"".join(key.replace(b"%", b"%%") + b"%b" for key in self._keys)
        self._prediction = b"%b%b" + template + b'},"receipt":"%b"}'

    def encode(self, classes: Sequence[int], probabilities: NDArray[np.float32], receipts: Sequence[str]) -> bytes:
        """The response body for probabilities [N, classes], with the most likely class and the receipt of each row."""
        predictions = (self._few if len(classes) <= FEW else self._many)(classes, probabilities, receipts)
        return self._head + predictions + b"]}"

    def _few(self, classes: Sequence[int], probabilities: NDArray[np.float32], receipts: Sequence[str]) -> bytes:
        rows = orjson.dumps(probabilities, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")
        predictions = []
        for index, row, receipt in zip(classes, rows, receipts, strict=True):
            numbers = row.split(b",")
            predictions.append(self._prediction % (self._starts[index], numbers[index], *numbers, receipt.encode()))
        return b",".join(predictions)

    def _many(self, classes: Sequence[int], probabilities: NDArray[np.float32], receipts: Sequence[str]) -> bytes:
        """The same, part by part: one join over all of them takes three quarters of the time."""
        numbers = orjson.dumps(probabilities.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
        count, width = len(classes), len(self._keys)
        step = 2 * width + 5
        parts = [b'},"receipt":"'] * (step * count)
        parts[0::step] = [self._starts[index] for index in classes]
        parts[1::step] = [numbers[row * width + index] for row, index in enumerate(classes)]
        for column, key in enumerate(self._keys):
            parts[2 + 2 * column :: step] = [key] * count
            parts[3 + 2 * column :: step] = numbers[column::width]
        parts[step - 2 :: step] = [receipt.encode() for receipt in receipts]
        parts[step - 1 :: step] = [b'"},'] * count
        return b"".join(parts)[:-1]


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
