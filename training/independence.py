"""Whether an answer depends on its example alone, and not on the rest of its batch.

A layer that computes over the batch (a softmax over the wrong axis, a batch norm without running statistics) answers
whole splits well, on which a model is measured, and single images badly, for which it is served.
"""

import math

import numpy as np
import torch

from tailorbird.onnx import session
from tailorbird.package.measurements import Parity
from training import machine
from training.arrays import as_tensor
from training.export import ServedModule, answers
from training.scores import Classification, Floats
from training.splits import Split

MOST, LEAST, NUMBERS = 64, 16, 2**20
"""How many examples are predicted again; fewer if they are large, down to the minimum."""
SIZES = (1, 2, 3, 7, 32)
"""Sizes of the batches in which examples are predicted again, by torch and by ONNX Runtime."""


def measure(served: ServedModule, model: bytes, whole: Classification, split: Split) -> Parity:
    """Compare an export's answers to the `whole` split with answers to smaller batches.

    These are its own and its network's answers to some of the examples, spread over the split.
    """
    count = max(LEAST, min(MOST, NUMBERS // math.prod(split.shape)))
    places = np.unique(np.linspace(0, len(split) - 1, count).astype(np.int64))
    chosen, opened = split.only(places), session(model)
    expected, labels = whole.probabilities[places], whole.predicted[places]
    again = [part for size in SIZES for part in (answers(opened, chosen, size)[1], _torch(served, chosen, size))]
    return Parity(
        agreement=min(float((part.argmax(1) == labels).mean()) for part in again),
        max_difference=float(np.max([np.abs(part - expected).max() for part in again])),
        samples=len(chosen),
    )


def _torch(served: ServedModule, split: Split, size: int) -> Floats:
    # on a busy machine, threads that synchronise after each layer of a single image cost more than they gain
    with torch.inference_mode(), machine.using(1):
        answers: Floats = torch.cat([served(as_tensor(batch))[1] for batch in split.batches(size)]).numpy()
    return answers
