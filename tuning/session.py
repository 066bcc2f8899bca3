"""A session: a worker trains one group until each trial has ended or waits at a rung."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tailorbird.errors import TailorbirdError
from training.config import Objective, RunConfig
from training.features import Views
from training.lanes import Lanes
from tuning.scheduler import Answer
from tuning.work import Measured, Work

STORE_EVERY = 30
"""Seconds of training after which the state is stored at the next measurement."""


@dataclass(frozen=True)
class Step:
    """A group's reports, why trials failed, and the state to resume from, if it was due."""

    measured: list[Measured]
    problems: dict[int, str]
    state: bytes | None


class Session:
    """A group in training; an error in a trial ends only that trial, and is not raised."""

    def __init__(
        self, work: Work, views: Views, objective: Objective, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._work, self._clock = work, clock
        self._numbers = list(work.configs)
        self._reported: set[int] = set()
        self._probing = 0 in work.rungs
        splits = views.splits
        train, validation = len(splits.train), len(splits.validation)
        self._counts = {"train_accuracy": train, "fit_accuracy": train, "test_accuracy": len(splits.test)}
        self._counts |= dict.fromkeys(("val_accuracy", "mean_val_accuracy"), validation)
        configs = [RunConfig.model_validate(config) for config in work.configs.values()]
        due = [lane for lane, number in enumerate(self._numbers) if number in work.due]
        begun = [lane for lane, number in enumerate(self._numbers) if lane in due or work.ended.get(number)]
        self._lanes = Lanes(configs, splits, objective, work.state, begun, views)
        for lane in self._lanes.active:
            if lane not in due and not self._is_repeated(lane):
                self._lanes.leave(lane)
        for lane in due:
            if lane not in self._lanes.active and lane not in self._lanes.failures:
                self._lanes.enter(lane)
        self._stored = clock()

    @property
    def over(self) -> bool:
        """Whether nothing is left to train, or to report."""
        return not self._lanes.active and self._lanes.failures.keys() <= self._reported

    def step(self) -> Step:
        """Train each trial until its next measurement, or probe it."""
        epochs = self._lanes.probe() if self._probing else self._lanes.step()
        measured, failed = [], dict[int, Exception]()
        for lane, epoch in epochs.items():
            whole = lane not in self._lanes.active and not self._probing
            try:
                more = self._lanes.final(lane) if whole else {}
            except Exception as error:
                failed[lane] = error
                continue
            best = epoch is self._lanes.progress(lane).best
            weights = self._lanes.weights(lane) if best else None
            metrics = epoch.metrics() | more
            number, exact = self._numbers[lane], self._lanes.exact
            measured.append(Measured(number, epoch.epoch, metrics, weights, whole, exact, self._counts))
        failed |= {lane: error for lane, error in self._lanes.failures.items() if lane not in self._reported}
        self._reported |= failed.keys()
        problems = {self._numbers[lane]: problem(error) for lane, error in failed.items()}
        return Step(measured, problems, self._state({epoch.epoch for epoch in measured}))

    def obey(self, answers: Mapping[int, Answer]) -> None:
        """Remove the trials that are to pause or stop."""
        for number, answer in answers.items():
            lane = self._numbers.index(number)
            if answer != "go on" and lane in self._lanes.active:
                self._lanes.leave(lane)

    def _state(self, epochs: set[int]) -> bytes | None:
        due = not epochs.isdisjoint(self._work.rungs) or self._clock() - self._stored >= STORE_EVERY
        if not self._lanes.active or not due:
            return None
        self._stored = self._clock()
        return self._lanes.state()

    def _is_repeated(self, lane: int) -> bool:
        """Whether a trial ended after the state was stored, so that it is trained again with the others."""
        return self._work.ended.get(self._numbers[lane], 0) > self._lanes.progress(lane).trained


def problem(error: Exception) -> str:
    """Why a trial failed, for its row in the ledger."""
    text = str(error).strip()
    if isinstance(error, TailorbirdError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
