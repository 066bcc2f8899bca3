"""Conversion of probabilities to predicted classes and confidences."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.problems import Problem
from tailorbird import bins


class Labels(NamedTuple):
    """Of each example the likeliest class by index, and the bin that its probability falls into."""

    classes: list[int]
    bins: list[int]


def label(probabilities: NDArray[np.float32]) -> Labels:
    """Those of rows of probabilities [N, classes]; raises Problem 422 where the model's answer is not a number."""
    # as Python floats: an edge compared with float32 would be rounded, and bins would differ from training's
    labels = Labels([], [])
    for index, row in enumerate(probabilities.tolist()):
        confidence = max(row)
        if confidence != confidence:
            raise Problem(422, f"inputs[{index}] is beyond the range of the model: its answer is NaN or infinite")
        labels.classes.append(row.index(confidence))
        labels.bins.append(bins.index(confidence))
    return labels
