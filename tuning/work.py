"""What the book gives to workers, and what it gets back; importing neither the registry nor its database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Nothing = Literal["wait", "done"]


@dataclass(frozen=True)
class Work:
    """A group to train: which of its trials, and from which state.

    `configs` are those of all its trials in order of their numbers, which is the order of its lanes. `ended` has the
    last epochs of those that ended, perhaps after the state was stored: they are trained again in the same way. After
    the epochs of `rungs` some of those due are compared; with epoch 0 among them, they are probed.
    """

    group: int
    attempt: int
    configs: dict[int, dict[str, Any]]
    due: list[int]
    ended: dict[int, int]
    rungs: list[int]
    state: bytes | None


@dataclass(frozen=True)
class Measured:
    """The figures of a trial after an epoch, with its weights if they are its best.

    `whole` says that the trial is complete, `exact` that training again would give the same bits; `counts` are the
    numbers of examples of its accuracies.
    """

    trial: int
    epoch: int
    metrics: dict[str, float]
    weights: bytes | None = None
    whole: bool = False
    exact: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)
