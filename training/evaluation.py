"""What a trained model scores on a split: accuracy, confusion, calibration and confidence bins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import nn

from tailorbird import bins
from training.datasets import Labels
from training.loop import EVALUATION_BATCH, as_tensor
from training.splits import Split

Floats = NDArray[np.float32]
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """Probabilities [N, classes] of a split's images beside their true labels [N]."""

    probabilities: Floats
    labels: Labels

    @cached_property
    def predicted(self) -> Labels:
        return np.asarray(self.probabilities.argmax(1), np.int64)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @property
    def standard_error(self) -> float:
        """Of the accuracy, binomial."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / len(self.labels))

    def confusion(self) -> NDArray[np.int64]:
        """Counts [classes, classes]; rows are true classes, columns predicted ones."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.labels * classes + self.predicted, minlength=classes**2).reshape(classes, classes)

    def calibration_error(self) -> float:
        """Expected calibration error over equal-width bins of confidence (Naeini et al. 2015)."""
        confidences = self.probabilities.max(1)
        places = np.minimum((confidences * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        gaps = np.bincount(places, confidences - self.correct, CALIBRATION_BINS)
        return float(np.abs(gaps).sum() / len(self.labels))

    def bins(self, classes: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
        """For each predicted class and confidence bin that occurs, how many images and how many of them right."""
        places = bins.indices(self.probabilities.max(1))
        counted: dict[str, dict[str, dict[str, int]]] = {}
        for index, name in enumerate(classes):
            of_class = self.predicted == index
            for place in np.unique(places[of_class]):
                here = of_class & (places == place)
                counts = {"count": int(here.sum()), "correct": int(self.correct[here].sum())}
                counted.setdefault(name, {})[bins.LABELS[place]] = counts
        return counted


def baseline(holdout: Evaluation, test: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """`baseline.json`: everything is of the held-out split but for `test`."""
    return {
        "accuracy": holdout.accuracy,
        "standard_error": holdout.standard_error,
        "samples": len(holdout.labels),
        "calibration_error": holdout.calibration_error(),
        "confusion": holdout.confusion().tolist(),
        "bins": holdout.bins(classes),
        "test": {"accuracy": test.accuracy, "samples": len(test.labels)},
    }


def logits(network: nn.Module, split: Split) -> Floats:
    """The network's logits [N, classes] for a split, computed on the device the network is on."""
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        batches = [network(batch.to(device)).cpu() for batch in as_tensor(split.images).split(EVALUATION_BATCH)]
    return torch.cat(batches).numpy()


def temperature(logits: Floats, labels: Labels) -> float:
    """The T that minimises the cross entropy of softmax(logits / T) (Guo et al. 2017); 1 where there are no images.

    A share of the labels, as of one image more, is taken for any class: else a split without an error would pass for
    certainty, with the least T that is allowed.
    """
    if not len(labels):
        return 1.0
    rows, unsure = np.arange(len(labels)), 1 / (len(labels) + 1)

    def cross_entropy(log_t: float) -> float:
        losses = -log_softmax(logits / math.exp(log_t), axis=1)
        return float((1 - unsure) * losses[rows, labels].mean() + unsure * losses.mean())

    found = minimize_scalar(cross_entropy, bounds=(math.log(0.05), math.log(20)), method="bounded")
    return math.exp(found.x)
