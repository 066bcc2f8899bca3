"""Ray Tune only places the workers of a sweep on the cluster and restarts those that die."""

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import ray
import torch
from ray import tune

from training.features import Views
from tuning.book import DEATHS
from tuning.parts import Resources
from tuning.spec import SweepSpec
from tuning.worker import Worker

MOST_WORKERS = 1_000
KILLED = (
    "its process was killed; if its node ran out of memory, try fewer trials at a time (resources.cpus), "
    "a smaller batch_size or a smaller data.size"
)
_DEATH = re.compile(r"^The actor died|OutOfMemoryError", re.MULTILINE)
_CLASS = re.compile(r"^(\w+\.)+\w+: |^\w+Error: ")
"""The prefix of Ray's error messages."""


class _Deaths(tune.Callback):  # type: ignore[misc]
    """Tells the writer of workers that died, so that others take over their groups."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks into a file that nobody reads

    def on_trial_recover(self, *, trial: Any, **_: Any) -> None:
        self._tell(trial)

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        self._tell(trial)

    def _tell(self, trial: Any) -> None:
        text = ""
        if trial.error_file:
            with suppress(OSError):  # a file of Tune that is gone takes the reason with it, and nothing else
                text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace").strip()
        last = text.splitlines()[-1] if text else "its worker ended"
        self._writer.lost.remote(str(trial.config["place"]), KILLED if _DEATH.search(text) else _CLASS.sub("", last))


class _Done(tune.Stopper):  # type: ignore[misc]
    """Ends all workers, also those that wait for resources, once one finds nothing left to train."""

    def __init__(self) -> None:
        self._done = False

    def __call__(self, _: str, result: dict[str, Any]) -> bool:
        self._done = self._done or result["done"]
        return bool(result["done"])

    def stop_all(self) -> bool:
        return self._done


def place(spec: SweepSpec, views: Views, writer: Any, folder: Path, own: bool) -> bool:
    """Train every group; returns whether no worker found anything left, False if Tune was interrupted or gave up."""
    wanted = demand(spec.resources)
    parts = {"views": views, "writer": writer, "objective": spec.objective, "minutes": spec.limits.epoch_minutes}
    done = _Done()
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(Worker, **parts), tune.PlacementGroupFactory([wanted])),
        param_space={"place": tune.grid_search(list(range(workers(wanted, spec.most_at_once, own))))},
        tune_config=tune.TuneConfig(
            trial_name_creator=lambda trial: f"worker-{trial.config['place']}",
            trial_dirname_creator=lambda trial: f"worker-{trial.config['place']}",
        ),
        run_config=tune.RunConfig(
            name=spec.name,
            storage_path=str(folder),
            callbacks=[_Deaths(writer)],
            stop=done,
            failure_config=tune.FailureConfig(max_failures=DEATHS * MOST_WORKERS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the ledger names the checkpoints
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except Exception:
        if not done.stop_all():  # else Tune did not find its own files at the end, whose results are in the ledger too
            raise
    return done.stop_all()


def demand(resources: Resources) -> dict[str, float]:
    """The resources of a worker, in Ray's names."""
    gpus = resources.gpus
    if gpus is None:
        gpus = min(1, ray.cluster_resources().get("GPU", 0))
    memory = {"memory": resources.memory_gb * 1e9} if resources.memory_gb else {}
    return {"CPU": resources.cpus, "GPU": gpus, **memory}


def at_once(resources: Resources, trials: int) -> int:
    """The number of trials that share the memory of this machine, or of one of its GPUs, on a local cluster."""
    gpus = min(1, torch.cuda.device_count()) if resources.gpus is None else resources.gpus
    return max(1, min(trials, math.floor(1 / gpus if gpus else joblib.cpu_count() / resources.cpus)))


def workers(wanted: dict[str, float], trials: int, own: bool) -> int:
    """The number of workers, by resources and work; an existing cluster may grow if more of them wait."""
    resources = ray.cluster_resources()
    room = min((math.floor(resources.get(name, 0) / much + 1e-9) for name, much in wanted.items() if much), default=1)
    return max(1, min(trials, room if own else max(2 * room, 8), MOST_WORKERS))
