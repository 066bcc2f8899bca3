"""The only writer of a sweep's ledger: an actor on the driver's node, with access to database and store."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import ray

from registry import leases
from registry.core import Registry
from registry.leases import Lease
from tailorbird.errors import LeaseLost
from tailorbird.settings import Settings
from tuning import spec as specs
from tuning.book import Book
from tuning.misfits import Misfits
from tuning.patience import patient
from tuning.scheduler import Answer
from tuning.work import Measured, Nothing, Work

R = TypeVar("R")


class LedgerWriter:
    """The book as an actor: every method returns after its rows are committed.

    If it dies, Ray restarts it: the book is read again, and calls without an answer are repeated.
    """

    def __init__(
        self, settings: Settings, lease: Lease, spec: Mapping[str, Any], misfits: Misfits, sizes: Mapping[str, int]
    ) -> None:
        self._registry, self._lease = Registry(settings), lease
        self._spec, self._misfits, self._sizes = specs.stored(spec), misfits, sizes
        self._opened: Book | None = None
        self._problem: Exception | None = None

    def work(self, worker: str) -> Work | Nothing:
        return "done" if self._problem else self._answer(lambda book: book.work(worker))

    def report(self, group: int, attempt: int, measured: list[Measured], state: bytes | None) -> dict[int, Answer]:
        return self._answer(lambda book: book.report(group, attempt, measured, state))

    def fail(self, group: int, attempt: int, problems: Mapping[int, str]) -> None:
        self._answer(lambda book: book.fail(group, attempt, problems))

    def lost(self, machine: str, problem: str) -> None:
        self._answer(lambda book: book.lost(machine, problem))

    def check(self) -> None:
        """Raise the error that ended the sweep, if one has."""
        self._answer(lambda _: patient(self._hold))

    def end(self) -> str | None:
        """Delete what is no longer needed; returns the limit that ended the search, if one did."""
        self._answer(Book.tidy)
        return self._answer(lambda book: book.limit)

    def _hold(self) -> None:
        with leases.writing(self._registry, self._lease):
            pass

    def _answer(self, act: Callable[[Book], R]) -> R:
        """What the book answers; an error that ends the sweep is stored, and raised again by later calls."""
        if self._problem:
            raise self._problem
        try:
            if self._opened is None:
                self._opened = patient(
                    lambda: Book(self._registry, self._lease, self._spec, self._misfits, self._sizes)
                )
            return act(self._opened)
        except LeaseLost:  # of one group, or of the whole sweep
            try:
                self._hold()
            except LeaseLost as lost:
                self._problem = lost
            raise
        except Exception as error:  # also a defect, for which no worker has to be restarted again and again
            self._problem = error
            raise


def start(settings: Settings, lease: Lease, spec: Mapping[str, Any], misfits: Misfits, sizes: Mapping[str, int]) -> Any:
    """Start the actor on this node and return its handle; `sizes` are those of groups by shape."""
    node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    actor = ray.remote(LedgerWriter).options(num_cpus=0, scheduling_strategy=node, max_restarts=-1, max_task_retries=-1)
    return actor.remote(settings, lease, spec, misfits, sizes)
