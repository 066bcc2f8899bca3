"""A trial: one run on one worker, an epoch a step."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import ray
import torch
from ray import tune

from training import checkpoint, final
from training.config import Objective, RunConfig
from training.loop import Run
from training.splits import Splits


class Trial(tune.Trainable):  # type: ignore[misc]
    """Trains epoch by epoch; each report is in the ledger, acknowledged, before Tune sees it."""

    def setup(self, config: dict[str, Any], splits: Splits, writer: Any, objective: Objective) -> None:
        self._splits, self._writer, self._objective = splits, writer, objective
        if not ray.get_gpu_ids():  # Ray leaves them visible to a trial that asked for none
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process, which saves starting one."""
        self._number: int = new_config["trial"]["number"]
        config = RunConfig.model_validate(new_config["trial"]["run"])
        self._tell("set_trial", self._number, "running")
        with self._failing():
            if config.compile:  # else what earlier trials compiled counts towards the most that torch compiles
                torch.compiler.reset()
            self._run = Run(config, self._splits, self._objective)
        return True

    def step(self) -> dict[str, Any]:
        with self._failing():
            made = self._run.step()
        last = self._run.done
        best = checkpoint.encode(self._run.best_state)
        weights = best if made is self._run.best else None
        metrics = made.metrics()
        if last:
            with self._failing():
                metrics |= final.figures(self._run.config, self._splits, best)
        self._tell("report", self._number, made.epoch, metrics, weights, last)
        return {**asdict(made), "done": last, "whole": last}

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Enter the reason of a failure, which Tune would keep as a traceback in a temporary file."""
        try:
            yield
        except Exception as error:
            self._tell("set_trial", self._number, "failed", str(error) or type(error).__name__)
            raise

    def _tell(self, method: str, *arguments: Any) -> None:
        ray.get(getattr(self._writer, method).remote(*arguments))
