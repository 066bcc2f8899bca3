"""`signature.json`: what goes into a model and what comes out."""

import json
from dataclasses import dataclass
from typing import Any

from serving.receipts import MOST_CLASSES
from tailorbird.errors import Corrupt, InvalidInput


@dataclass(frozen=True)
class Signature:
    """`shape` of one image, [height, width] or [height, width, 3], and the names of the classes in their order."""

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    record: dict[str, Any]


def parse(data: bytes) -> Signature:
    """Raises InvalidInput for a kind of model that is not served here, Corrupt for what is no signature."""
    try:
        record = json.loads(data)
        takes = f"{record['kind']} of {record['dtype']}"
        if takes != "image of uint8":
            raise InvalidInput("model", f"takes {takes}; accepted: a model that takes image of uint8")
        shape, classes = tuple(map(int, record["shape"])), tuple(map(str, record["classes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"signature.json is not one: {error!r}") from None
    if len(shape) not in (2, 3) or not 2 <= len(classes) <= MOST_CLASSES:
        raise Corrupt(f"signature.json has {len(shape)} dimensions and {len(classes)} classes")
    return Signature(shape, classes, record)
