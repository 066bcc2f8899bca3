"""`curves.json`: the figures of each epoch of a run."""

import itertools
import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from tailorbird.errors import Corrupt
from tailorbird.package.record import Record, encode

FILE = "curves.json"


class Epoch(Record):
    """Losses, and accuracies as fractions; None means not measured, for example without validation.

    Mean figures are those of a running mean of the weights, by which trials are compared until their rate has decayed.
    """

    epoch: Annotated[int, Field(ge=1)]
    train_loss: float | None = None
    train_accuracy: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None
    lr: float | None = None
    seconds: float | None = None
    mean_val_loss: float | None = None
    mean_val_accuracy: float | None = None


_EPOCHS = TypeAdapter(list[Epoch])


def parse(data: bytes) -> list[Epoch]:
    """Read the file; raises Corrupt."""
    try:
        epochs = _EPOCHS.validate_python(json.loads(data))
    except (ValidationError, ValueError, RecursionError):
        epochs = []
    if not epochs or any(before.epoch >= after.epoch for before, after in itertools.pairwise(epochs)):
        raise Corrupt(f"{FILE}: must hold the figures of one epoch or more, in their order")
    return epochs


def write(epochs: Sequence[Epoch]) -> bytes:
    """The file."""
    return encode([epoch.model_dump(exclude_none=True) for epoch in epochs])
