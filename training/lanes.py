"""Lanes: runs on one data set that are trained and measured as a group, which each of them can leave."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import torch

from tailorbird.errors import Corrupt, InvalidInput
from training import checkpoint, final, machine, stack
from training.config import Objective, RunConfig
from training.features import Views
from training.loop import Run
from training.progress import Epoch, Progress
from training.splits import Splits
from training.stack import Stack


class Lanes:
    """A group of runs, numbered by their place in `configs`.

    A lane is active until its run is done, it leaves, or it fails. Lanes do not affect each other: each has, to the
    last bit, the results that it would have had alone.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        splits: Splits,
        objective: Objective,
        state: bytes | None = None,
        begun: Collection[int] | None = None,
        views: Views | None = None,
    ) -> None:
        """Start every lane, or those of `begun`, or resume these from a group's state, which may lack some.

        The other lanes of the state stay in it unchanged. `views` are the inputs that earlier groups prepared from the
        same splits. Raises InvalidInput if the state is of other configs or other data, and Corrupt if it is not such a
        state.
        """
        self._configs, self._splits, self._objective = tuple(configs), splits, objective
        self._views = views or Views(splits)
        self._views.keep(configs)
        self._runs: dict[int, Run] = {}
        self._resting: dict[int, bytes] = {}
        self._progress: dict[int, Progress] = {}
        self._stacked: Stack | None = None
        self.failures: dict[int, Exception] = {}
        self.exact = True
        """Whether its epochs can be repeated to the last bit (`machine.is_exact`)."""
        if state is not None:
            self._restore(state, begun)
            return
        for lane in range(len(configs)) if begun is None else begun:
            with self._failing(lane):
                self._begin(lane)

    @property
    def active(self) -> tuple[int, ...]:
        """Lanes that the next step trains, in order."""
        return tuple(sorted(self._runs))

    def step(self) -> dict[int, Epoch]:
        """Train each active lane until its next measurement; a lane that fails is in `failures`, and not in these."""
        measured = self._measured(lambda trained: trained.step())
        for lane in [lane for lane in measured if self._runs[lane].done]:
            self._rest(lane)
        return measured

    def probe(self) -> dict[int, Epoch]:
        """Train a part of the first epoch of each active lane, and measure; all of them have left after it."""
        measured = self._measured(lambda trained: trained.probe())
        self._runs = {}
        return measured

    def _measured(self, train: Callable[[Stack | Run], Epoch | Sequence[Epoch | Exception]]) -> dict[int, Epoch]:
        measured = {}
        for lanes in self._grouped():
            for lane, epoch in zip(lanes, self._trained(lanes, train), strict=True):
                if isinstance(epoch, Exception):
                    self._fail(lane, epoch)
                else:
                    measured[lane] = epoch
        return measured

    def _trained(
        self, lanes: Sequence[int], train: Callable[[Stack | Run], Epoch | Sequence[Epoch | Exception]]
    ) -> Sequence[Epoch | Exception]:
        """A lane that can be stacked is stacked even alone, so that no figure depends on the other lanes."""
        try:
            apart = stack.key(self._runs[lanes[0]]) is None
            epochs = train(self._runs[lanes[0]] if apart else self._stack(lanes))
        except Exception as error:
            return [error] * len(lanes)
        return [epochs] if isinstance(epochs, Epoch) else epochs

    def _grouped(self) -> list[list[int]]:
        """The active lanes, grouped by the stack that trains them."""
        groups: dict[str, list[int]] = {}
        for lane in self.active:
            groups.setdefault(stack.key(self._runs[lane]) or f"lane {lane}", []).append(lane)
        return list(groups.values())

    def _stack(self, lanes: Sequence[int]) -> Stack:
        runs = [self._runs[lane] for lane in lanes]
        if not (self._stacked and self._stacked.holds(runs)):
            self._stacked = Stack(runs)
        return self._stacked

    def leave(self, lane: int) -> None:
        """Pause an active lane; `enter` resumes it."""
        self._rest(lane)

    def enter(self, lane: int) -> None:
        """Resume a lane that had left, or start one; a lane that was done starts again, up to its final figures."""
        with self._failing(lane):
            self._begin(lane, self._resting.pop(lane, None))
            if self._runs[lane].done:
                self._begin(lane)

    def progress(self, lane: int) -> Progress:
        """A lane's history and best epoch."""
        return self._progress[lane]

    def weights(self, lane: int) -> bytes:
        """The weights of a lane's best epoch as a checkpoint."""
        return checkpoint.encode(self._progress[lane].weights)

    def final(self, lane: int) -> dict[str, float]:
        """The final figures of a lane that is done (`training.final`)."""
        config = self._configs[lane]
        return final.figures(config, self._views.prepared(config), self.weights(lane))

    def state(self) -> bytes:
        """Everything needed to resume the group, including lanes that left or are done, but not those that failed."""
        packed = self._resting | {lane: run.snapshot().pack() for lane, run in self._runs.items()}
        tensors = {str(lane): torch.frombuffer(bytearray(data), dtype=torch.uint8) for lane, data in packed.items()}
        return checkpoint.pack(tensors, {"active": json.dumps(self.active)})

    def _restore(self, state: bytes, begun: Collection[int] | None) -> None:
        tensors, texts = checkpoint.unpack(state)
        try:
            lanes, active = {int(name): tensor for name, tensor in tensors.items()}, json.loads(texts["active"])
        except (ValueError, LookupError) as error:
            raise Corrupt(f"the state of the group cannot be read: {error}") from None
        if not all(lane < len(self._configs) for lane in lanes):
            raise InvalidInput("state", f"has a lane {max(lanes)}, and this group has {len(self._configs)} runs")
        for lane, tensor in lanes.items():
            packed = tensor.numpy().tobytes()
            if begun is not None and lane not in begun:
                self._resting[lane] = packed
                continue
            self._begin(lane, packed)
            if lane not in active:
                self._rest(lane)

    @contextmanager
    def _failing(self, lane: int) -> Iterator[None]:
        """An error within ends only this lane."""
        try:
            yield
        except Exception as error:
            self._fail(lane, error)

    def _fail(self, lane: int, error: Exception) -> None:
        self.failures[lane] = error
        self._runs.pop(lane, None)

    def _begin(self, lane: int, snapshot: bytes | None = None) -> None:
        config = self._configs[lane]
        data = self._views.data(config)
        run = Run(config, self._splits, self._objective, data=data, snapshot=snapshot, compared=True)
        self.exact = self.exact and machine.is_exact(run.data.device)
        self._runs[lane], self._progress[lane] = run, run.progress

    def _rest(self, lane: int) -> None:
        self._resting[lane] = self._runs.pop(lane).snapshot().pack()
