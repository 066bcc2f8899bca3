"""From probabilities to what is said of each example: its class, how sure the model is, and the bin of that."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.problems import Problem
from tailorbird import bins


class Labelled(NamedTuple):
    """The likeliest class by index, its probability, and the bin that falls into."""

    class_index: int
    confidence: float
    confidence_bin: int


def label(probabilities: NDArray[np.float32]) -> list[Labelled]:
    """For each row of probabilities [N, classes]; raises Problem 422 where the model's answer is not a number."""
    return [_label(row, place) for place, row in enumerate(probabilities.tolist())]


def _label(row: list[float], place: int) -> Labelled:
    # as Python floats: an edge compared with float32 would be rounded, and bins would differ from training's
    confidence = max(row)
    if confidence != confidence:
        raise Problem(422, f"inputs[{place}] is beyond what the model can compute: its answer is not a number")
    return Labelled(row.index(confidence), confidence, bins.index(confidence))
