"""A worker: an actor placed by Tune that trains one group after another."""

import os
import secrets
import threading
import time
from typing import Any, Self

import ray
from ray import tune

from tailorbird.errors import TailorbirdError
from training.config import Objective
from training.features import Views
from tuning.session import Session, problem
from tuning.work import Work

TURN = 1.0
"""Seconds between two reports to Tune."""
WAIT = 0.2
"""Seconds before a worker asks again for something to train."""
FORGOTTEN = 10.0
"""Seconds after which an idle worker checks whether the driver still owns the sweep."""


class Worker(tune.Trainable):  # type: ignore[misc]
    """Takes a group from the writer and trains it; each epoch is in the ledger before the next one starts."""

    def setup(self, config: dict[str, Any], views: Views, writer: Any, objective: Objective, minutes: float) -> None:
        self._name = f"{config['place']}.{secrets.token_hex(4)}"
        self._views, self._writer, self._objective = views, writer, objective
        self._work: Work | None = None
        self._session: Session | None = None
        if not ray.get_gpu_ids():  # Ray leaves GPUs visible to a trial that requested none
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._minutes = minutes
        self._asked = threading.Event()  # whether Tune has requested the next step

    def step(self) -> dict[str, Any]:
        """Train for a moment; `done` means that no group is left for any worker."""
        self._asked.set()
        done = False
        until = time.monotonic() + TURN
        while not done and time.monotonic() < until:
            try:
                if self._session is None:
                    done = not self._begin()
                self._train()
            except TailorbirdError:  # the lease of this group, or of the whole sweep, which the next answer shows
                self._session = self._work = None
                time.sleep(WAIT)
        self._arm()
        return {"done": done}

    def _begin(self) -> bool:
        answer = self._ask("work", self._name)
        if answer == "done":
            return False
        if answer == "wait":
            time.sleep(WAIT)
            return True
        self._work = answer
        with self._watched(answer):
            try:
                self._session = Session(answer, self._views, self._objective)
            except Exception as error:
                self._ask("fail", answer.group, answer.attempt, dict.fromkeys(answer.due, problem(error)))
        return True

    def _train(self) -> None:
        work, session = self._work, self._session
        if work is None or session is None:
            return
        with self._watched(work):
            step = session.step()
        if step.problems:
            self._ask("fail", work.group, work.attempt, step.problems)
        if step.measured:
            session.obey(self._ask("report", work.group, work.attempt, step.measured, step.state))
        if session.over:
            self._work = self._session = None

    def _watched(self, work: Work) -> "Watchdog":
        """For a block that trains at most up to the next measurement."""
        minutes = self._minutes * max(config["measure_every"] for config in work.configs.values())
        return Watchdog(60 * minutes, lambda: self._hung(work, minutes))

    def _hung(self, work: Work, minutes: float) -> None:
        """Report why, and exit this process; Tune starts another."""
        reason = f"no measurement within {minutes:g} minutes (limits.epoch_minutes, times measure_every)"
        try:
            self._ask("fail", work.group, work.attempt, dict.fromkeys(work.due, reason))
        finally:
            os._exit(1)

    def _arm(self) -> None:
        """Watch the sweep's owner until Tune requests the next step, which a paused driver never does."""
        self._asked = threading.Event()
        room = ray.util.get_current_placement_group()
        threading.Thread(target=self._look, args=[room, self._asked], daemon=True).start()

    def _look(self, room: Any, asked: threading.Event) -> None:
        """Until then, check now and then who owns the sweep; exit and free the resources if it is another driver."""
        while not asked.wait(FORGOTTEN):
            try:
                self._ask("check")
            except TailorbirdError:
                if not asked.is_set():
                    ray.util.remove_placement_group(room)
                return

    def _ask(self, method: str, *arguments: Any) -> Any:
        """The writer's answer; its errors are raised again here."""
        try:
            return ray.get(getattr(self._writer, method).remote(*arguments))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TailorbirdError):
                raise error.cause from None
            raise


class Watchdog:
    """Calls `bark` if the block within takes longer than `seconds`."""

    def __init__(self, seconds: float, bark: Any) -> None:
        self._seconds, self._bark = seconds, bark
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        self._timer = threading.Timer(self._seconds, self._bark)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer:
            self._timer.cancel()
