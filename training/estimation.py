"""Fitting a version's estimator of accuracy, and its standard error, on corrupted held-out images."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tailorbird import bins, onnx
from tailorbird.drift import cells
from tailorbird.drift.estimator import Estimator
from tailorbird.package.estimator import Error
from training import corruptions
from training.corruptions import FAMILIES, SEVERITIES
from training.scores import Classification
from training.splits import Split

Floats = NDArray[np.float64]
Answer = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
"""Probabilities [N, classes] of images [N, ...]."""

WINDOW = 1_000
WINDOWS = 4_000
MOST_IMAGES, MOST_NUMBERS = 2_500, 2_000_000
"""The most images, and values of images, that each corruption is applied to."""
LEAST_IMAGES = 200
"""With fewer images only the class mix is fitted; at least this many are corrupted, whatever their size."""
RIDGE = 0.1
"""Strength of the ridge towards the baseline at MOST_IMAGES images; with fewer it grows, or weights would overfit."""
SMALL_DROP = 0.15
LEAST_SHARE = 0.02
"""A window weighs 1 / (this + its drop), because small drops have to be estimated well."""
STRANGERS, MOST_STRANGERS = "strangers", 0.5
MOVED, SPREAD = 0.7, (0.3, 1.7)
"""The share of windows with another class mix, and the range of powers of ten of how similar it is to the usual one."""


@dataclass(frozen=True)
class _Answers:
    """The cell of each image, and whether its answer was right."""

    cell: NDArray[np.int64]
    correct: NDArray[np.bool_]


def of_export(model: bytes, split: Split, evaluated: Classification, classes: Sequence[str]) -> Estimator:
    """The estimator of an evaluated export; for tables and few images it is fitted to the class mix alone."""
    targets = split.targets.astype(np.int64)
    known = mix_only(evaluated.probabilities, targets, classes)
    if len(split.shape) < 2 or len(split) < LEAST_IMAGES:
        return known
    most = max(LEAST_IMAGES, min(MOST_IMAGES, MOST_NUMBERS // math.prod(split.shape)))
    chosen = np.random.default_rng(0).permutation(len(split))[:most]
    return fit(known, np.asarray(split.at(chosen), np.uint8), targets[chosen], _answer(model, split.together))


def fit(known: Estimator, images: NDArray[np.uint8], targets: NDArray[np.int64], answer: Answer) -> Estimator:
    """The estimator of a model from held-out images [N, ...] with targets [N].

    `answer` predicts the images and corrupted ones. From these, windows with clean parts and shifted class mixes are
    drawn, and the weights of the cells are fitted by ridge regression towards the baseline's accuracies.
    """
    random = np.random.default_rng(0)
    families = _families(images, targets, answer, random)
    windows = _Windows(_answers(answer(images), targets), families, targets, len(known.classes), random)
    return _fitted(known, *windows.draw(), RIDGE * max(1.0, MOST_IMAGES / len(images)))


def _answer(model: bytes, together: int) -> Answer:
    """A function that returns the predictions of an export, computed for `together` images at a time."""
    opened = onnx.session(model)
    name = opened.get_inputs()[0].name

    def answer(images: NDArray[np.uint8]) -> NDArray[np.floating]:
        parts = [images[start : start + together] for start in range(0, len(images), together)]
        answers = np.concatenate([opened.run(["probabilities"], {name: part})[0] for part in parts])
        return answers if answers.shape[1] > 1 else np.concatenate((1 - answers, answers), axis=1)

    return answer


def mix_only(probabilities: NDArray[np.floating], targets: NDArray[np.int64], classes: Sequence[str]) -> Estimator:
    """What is known without corruptions: how often each class is answered by each cell."""
    count = len(classes)
    answers = _answers(probabilities, targets)
    width = count * cells.BINS
    table = np.bincount(targets * width + answers.cell, minlength=count * width)
    return Estimator(tuple(classes), table.reshape(count, count, cells.BINS), None, None)


def _families(
    images: NDArray[np.uint8], targets: NDArray[np.int64], answer: Answer, random: np.random.Generator
) -> dict[str, list[_Answers]]:
    """For each family, the answers at each severity; answers to images of no class are all wrong."""
    families = {
        name: [
            _answers(answer(corruptions.corrupt(name, images, severity, random)), targets) for severity in SEVERITIES
        ]
        for name in FAMILIES
    }
    strangers = answer(corruptions.strangers(images, random))
    return families | {STRANGERS: [_answers(strangers, np.full(len(images), -1))]}


def _answers(probabilities: NDArray[np.floating], targets: NDArray[np.int64]) -> _Answers:
    predicted = probabilities.argmax(1)
    position = predicted * cells.BINS + bins.indices(probabilities[np.arange(len(predicted)), predicted].astype(float))
    return _Answers(position, np.asarray(predicted == targets))


class _Windows:
    """Draws windows of traffic, wholly or partly corrupted, most of them with another class mix."""

    def __init__(
        self,
        clean: _Answers,
        families: Mapping[str, Sequence[_Answers]],
        targets: NDArray[np.int64],
        classes: int,
        random: np.random.Generator,
    ) -> None:
        self._clean = clean
        self._families = [[clean], *families.values()]
        self._most_shares = [1.0, *(MOST_STRANGERS if name == STRANGERS else 1.0 for name in families)]
        self._of_class = [np.flatnonzero(targets == index) for index in range(classes)]
        self._mix = np.bincount(targets, minlength=classes) / len(targets)
        self._random = random

    def draw(self) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Shares of cells [WINDOWS, cells], accuracies [WINDOWS], and the family of each window, 0 if it is clean."""
        family = self._random.integers(len(self._families), size=WINDOWS)
        drawn = [self._window(index) for index in family.tolist()]
        shares, accuracies = zip(*drawn, strict=True)
        return np.stack(shares), np.array(accuracies), family

    def _window(self, family: int) -> tuple[Floats, float]:
        random = self._random
        severities, most = self._families[family], self._most_shares[family]
        answers = severities[int(random.integers(len(severities)))]
        share = most * (1.0 if random.random() < 0.5 and most == 1 else random.random())
        mix = self._mix
        if random.random() < MOVED:
            mix = random.dirichlet(mix * 10 ** random.uniform(*SPREAD) + 1e-3)
        examples, spoiled = self._examples(mix), random.random(WINDOW) < share
        place = np.where(spoiled, answers.cell[examples], self._clean.cell[examples])
        correct = np.where(spoiled, answers.correct[examples], self._clean.correct[examples])
        counts = np.bincount(place, minlength=len(self._mix) * cells.BINS)
        return counts / WINDOW, float(correct.mean())

    def _examples(self, mix: Floats) -> NDArray[np.int64]:
        mix = np.where([len(members) > 0 for members in self._of_class], mix, 0)
        counts = self._random.multinomial(WINDOW, mix / mix.sum()).tolist()
        drawn = [
            self._random.choice(members, count) for members, count in zip(self._of_class, counts, strict=True) if count
        ]
        return np.concatenate(drawn)


def _fitted(known: Estimator, shares: Floats, accuracies: Floats, family: NDArray[np.int64], ridge: float) -> Estimator:
    """Weights fitted on all windows; the error cross-validated over families."""
    start = cells.accuracies(known.counts, known.correct).ravel()
    reference = known.counts.ravel() / known.counts.sum()
    start = start + known.accuracy - reference @ start  # the held-out accuracy is reproduced exactly
    moved, rest = shares - reference, accuracies - shares @ start
    importance = 1 / (LEAST_SHARE + np.maximum(known.accuracy - accuracies, 0))
    estimates = np.empty_like(accuracies)
    for index in np.unique(family):
        left_out = family == index
        learnt = _ridge(moved[~left_out], rest[~left_out], importance[~left_out], ridge)
        estimates[left_out] = shares[left_out] @ start + moved[left_out] @ learnt
    learnt = _ridge(moved, rest, importance, ridge)
    weights = start + learnt - reference @ learnt  # shares sum to 1, so a constant can be part of every weight
    error = _error(np.clip(estimates, 0, 1) - accuracies, known.accuracy - accuracies)
    return replace(known, weights=weights.reshape(known.counts.shape), error=error)


def _ridge(moved: Floats, rest: Floats, importance: Floats, ridge: float) -> Floats:
    """Coefficients [cells] of weighted ridge regression without an intercept; cells are scaled by their deviation."""
    scales = np.sqrt((moved**2).mean(0))
    scaled = np.divide(moved, scales, out=np.zeros_like(moved), where=scales > 0)
    weighted = scaled * (importance / importance.mean())[:, None]
    gram = weighted.T @ scaled + ridge * len(moved) * np.eye(len(scales))
    solution = np.linalg.solve(gram, weighted.T @ rest)
    return np.asarray(np.divide(solution, scales, out=np.zeros_like(solution), where=scales > 0))


def _error(differences: Floats, drops: Floats) -> Error:
    off, small = np.abs(differences), drops < SMALL_DROP
    p90 = float(np.quantile(off[small], 0.9))
    return Error(small=float(off[small].mean()), p90=p90, all=float(off.mean()), window=WINDOW)
