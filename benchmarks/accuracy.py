"""Time to accuracy: presets of tuning/specs, from the start of the command to a registered version, with three seeds.

    python -m benchmarks.accuracy [PRESET…]

A preset is one run whose settings were chosen on validation. The time of the processor is that of `tailorbird sweep`
with all that it starts, Ray's processes too; memory is the most that one of these processes had at once. Each run has a
registry of its own, and the data set below TAILORBIRD_DATA_DIR. For Linux.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks import report
from benchmarks.workers import ROOT
from tailorbird import settings
from tailorbird.errors import Unavailable, told
from tailorbird.settings import PREFIX, Settings

SPECS = ROOT / "tuning" / "specs"
PRESETS = ("fashion-fast", "fashion-best", "mnist-best", "cifar10-fast")
ADOPT = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2): what a descendant leaves running becomes a child, and its time is counted."""


@dataclass(frozen=True)
class Made:
    """A run of a preset: its share of right answers on the test split, minutes, and bytes."""

    accuracy: float
    clock: float
    processor: float
    memory: float


def main() -> None:
    given = report.arguments(__doc__, names=PRESETS)
    seeds, shorter = (1, ["run.epochs=1", "data.holdout=0.85"]) if given.quick else (3, [])
    here = settings.load()
    figures = {}
    for name in given.names or PRESETS:
        runs = [_run(name, [f"run.seed={seed}", *shorter], here) for seed in range(seeds)]
        figures |= {
            f"{name}: test accuracy": report.figure([100 * one.accuracy for one in runs], "%"),
            f"{name}: clock": report.figure([one.clock for one in runs], "min"),
            f"{name}: processor": report.figure([one.processor for one in runs], "CPU-min"),
            f"{name}: memory of one process": report.figure([one.memory / 1e9 for one in runs], "GB"),
        }
    print(report.flags())
    report.tell("accuracy", seeds, figures, {}, given.json)


def _run(name: str, changes: Sequence[str], here: Settings) -> Made:
    """Run a preset in a process of its own, whose children are those of this run alone."""
    with tempfile.TemporaryDirectory(prefix="accuracy-") as home:
        paths = {"home": home, "data_dir": str(here.data), "cache_dir": str(Path(home) / "cache")}
        environment = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        environment |= {PREFIX + key.upper(): value for key, value in paths.items()}
        command = [sys.executable, "-m", "tailorbird", "sweep", str(SPECS / f"{name}.yaml"), "--json"]
        command += [word for change in changes for word in ("--set", change)]
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            return alone.submit(_measured, command, environment).result()


def _measured(command: Sequence[str], environment: Mapping[str, str]) -> Made:
    ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env={**environment}, stdout=subprocess.PIPE)
    clock = time.perf_counter() - start
    if done.returncode:
        raise Unavailable(f"{' '.join(command)} failed")
    try:
        while True:
            os.wait()
    except ChildProcessError:  # all of them have ended
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    accuracy = json.loads(done.stdout)["evidence"]["test"]["accuracy"]
    return Made(accuracy, clock / 60, (used.ru_utime + used.ru_stime) / 60, used.ru_maxrss * 1024.0)


if __name__ == "__main__":
    with told():
        main()
