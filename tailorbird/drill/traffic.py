"""The traffic of a drill: test examples, first clean and then corrupted, with the labels of their users."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from tailorbird import classes as class_names
from tailorbird.errors import InvalidInput
from training import corruptions
from training.splits import Split

Labels = Literal["prompt", "late", "uneven", "none"]
LATE_STEPS = 8
LABELLED = 0.5
"""The share of predictions that get a label."""
UNSURE = 0.9
"""Uneven labels come only for predictions below this confidence."""


@dataclass(frozen=True)
class Scenario:
    """The changes of the traffic from the middle on, and of its labels throughout."""

    corruption: str | None = None
    severity: float = 0.45
    mix: Mapping[str, float] = field(default_factory=dict)
    unseen: str | None = None
    flip: tuple[str, str] | None = None
    labels: Labels = "prompt"

    def normal(self) -> Self:
        """The same with class names in their normal form."""
        return replace(
            self,
            mix={class_names.normal(name): share for name, share in self.mix.items()},
            unseen=self.unseen and class_names.normal(self.unseen),
            flip=self.flip and (class_names.normal(self.flip[0]), class_names.normal(self.flip[1])),
        )

    def check(self, classes: tuple[str, ...], table: bool) -> None:
        """Raise InvalidInput, naming the option, for what is impossible with these classes, or with a table."""
        for option, value in (("--corruption", self.corruption), ("--unseen", self.unseen)):
            if table and value is not None:
                raise InvalidInput(option, "applies only to images, not to rows of a table; accepted: --mix, --flip")
        if self.corruption is not None and self.corruption not in corruptions.FAMILIES:
            known = ", ".join(corruptions.FAMILIES)
            raise InvalidInput("--corruption", f"there is no {self.corruption!r}; accepted: {known}")
        if not 0 < self.severity <= 1:
            raise InvalidInput("--severity", f"{self.severity:g} is not accepted; accepted: above 0, up to 1")
        named = {"--mix": [*self.mix], "--unseen": [self.unseen] if self.unseen else [], "--flip": [*(self.flip or ())]}
        for option, names in named.items():
            for name in names:
                if name not in classes:
                    raise InvalidInput(option, f"{name!r} is not a class; accepted: {', '.join(classes)}")
        if self.flip and self.flip[0] == self.flip[1]:
            raise InvalidInput("--flip", "names one class twice; accepted: two classes")
        if any(not 0 <= share <= 1 for share in self.mix.values()) or sum(self.mix.values()) > 1:
            raise InvalidInput("--mix", "shares are not accepted; accepted: from 0 to 1, together at most 1")

    def __str__(self) -> str:
        parts = [f"{self.corruption} {self.severity:g}"] if self.corruption else []
        parts += [f"{name} {share:.0%}" for name, share in self.mix.items()]
        parts += [f"strangers for {self.unseen}"] if self.unseen else []
        parts += [f"{self.flip[0]} and {self.flip[1]} swapped"] if self.flip else []
        return f"{', '.join(parts) or 'nothing'}; labels {self.labels}"


@dataclass(frozen=True)
class Batch:
    """Images [N, ...] or rows [N, columns], with the labels of their users, by class index."""

    inputs: NDArray[np.uint8] | NDArray[np.float64]
    truth: NDArray[np.int64]


class Traffic:
    """Draws batches of a test split."""

    def __init__(self, scenario: Scenario, split: Split, classes: tuple[str, ...], seed: int = 0) -> None:
        self._table = len(split.shape) == 1
        scenario = scenario.normal()
        scenario.check(classes, self._table)
        self._scenario = scenario
        self._split = split
        self.classes = classes
        self._random = np.random.default_rng(seed)

    def batch(self, size: int, spoiled: bool) -> Batch:
        """A batch of examples, unchanged or changed by the scenario."""
        places = self._random.choice(len(self._split), size, p=self._chances() if spoiled else None)
        inputs, truth = self._split.at(places), self._split.targets[places].astype(np.int64)
        if self._table:
            rows = np.asarray(inputs, "<f8")
            return Batch(rows, self._called(truth) if spoiled else truth)
        images = np.asarray(inputs, np.uint8)
        return Batch(self._spoil(images, truth), self._called(truth)) if spoiled else Batch(images, truth)

    def labelled(self, confidences: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which predictions get a label."""
        chances = np.full(len(confidences), LABELLED)
        if self._scenario.labels == "none":
            chances[:] = 0
        if self._scenario.labels == "uneven":
            chances[confidences >= UNSURE] = 0.05
        return self._random.random(len(confidences)) < chances

    @property
    def mix(self) -> NDArray[np.float64]:
        """The shares of the classes [classes] in the split."""
        counts = np.bincount(self._split.targets.astype(np.int64), minlength=len(self.classes))
        return np.asarray(counts / counts.sum())

    @property
    def delay(self) -> int:
        """The number of steps until labels arrive."""
        return LATE_STEPS if self._scenario.labels == "late" else 0

    def _chances(self) -> NDArray[np.float64] | None:
        if not self._scenario.mix:
            return None
        targets = self._split.targets.astype(np.int64)
        present = np.bincount(targets, minlength=len(self.classes)) / len(targets)
        named = {self.classes.index(name): share for name, share in self._scenario.mix.items()}
        others = [index for index in range(len(self.classes)) if index not in named]
        left = (1 - sum(named.values())) / max(present[others].sum(), 1e-12)
        wanted = np.array([named.get(index, left * share) for index, share in enumerate(present)])
        chances = (wanted / np.maximum(present, 1e-12))[targets]
        return np.asarray(chances / chances.sum())

    def _spoil(self, images: NDArray[np.uint8], truth: NDArray[np.int64]) -> NDArray[np.uint8]:
        scenario = self._scenario
        if scenario.corruption:
            images = corruptions.corrupt(scenario.corruption, images, scenario.severity, self._random)
        if scenario.unseen:
            strange = truth == self.classes.index(scenario.unseen)
            images = np.where(
                strange.reshape(-1, *[1] * (images.ndim - 1)), corruptions.strangers(images, self._random), images
            )
        return images

    def _called(self, truth: NDArray[np.int64]) -> NDArray[np.int64]:
        """The labels that users give to examples of these classes."""
        if not self._scenario.flip:
            return truth
        first, other = (self.classes.index(name) for name in self._scenario.flip)
        return np.select([truth == first, truth == other], [np.int64(other), np.int64(first)], truth)
