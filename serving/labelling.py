"""Conversion of probabilities to predicted classes and confidences."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.problems import Problem
from tailorbird import bins


class Labels(NamedTuple):
    """The most likely class of each example, by index, and the confidence bin of its probability."""

    classes: list[int]
    bins: list[int]


def label(probabilities: NDArray[np.float32]) -> Labels:
    """From probabilities [N, classes]; raises Problem 422 if any of them is NaN or infinite."""
    # as Python floats: edges compared with float32 would be rounded, and bins would differ from those of training
    labels = Labels([], [])
    for index, row in enumerate(probabilities.tolist()):
        confidence = max(row)
        if confidence != confidence:
            raise Problem(422, f"inputs[{index}] is beyond the range of the model: its answer is NaN or infinite")
        labels.classes.append(row.index(confidence))
        labels.bins.append(bins.index(confidence))
    return labels
