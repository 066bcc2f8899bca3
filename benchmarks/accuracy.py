"""Time to accuracy: presets of tuning/specs, from the start of the command to a registered version, with three seeds.

    python -m benchmarks.accuracy [PRESET…]

A preset is one run. The time of the processor is that of `tailorbird sweep` with all that it starts, Ray's processes
too; memory is the most that one of these processes had at once. Each run has a registry of its own, and the data set
below TAILORBIRD_DATA_DIR. For Linux.
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import report
from benchmarks.workers import ROOT
from tailorbird import settings
from tailorbird.errors import Unavailable, reported
from tailorbird.settings import PREFIX, Settings

SPECS = ROOT / "tuning" / "specs"
PRESETS = ("fashion-fast", "fashion-best", "mnist-best", "cifar10-fast")
ADOPT = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2): what a descendant leaves running becomes a child, and its time is counted."""
LOOK_EVERY = 0.2
"""Seconds; what a process spent after the last look is lost."""


@dataclass(frozen=True)
class Made:
    """A run of a preset: its share of right answers on the test split, minutes, and bytes."""

    accuracy: float
    clock: float
    processor: float
    memory: float


def main() -> None:
    arguments = report.arguments(__doc__, names=PRESETS)
    seeds, shorter = (1, ["run.epochs=1", "data.validation=0.85"]) if arguments.quick else (3, [])
    here = settings.load()
    figures = {}
    for name in arguments.names:
        runs = [_run(name, [f"run.seed={seed}", *shorter], here) for seed in range(seeds)]
        figures |= {
            f"{name}: test accuracy": report.figure([100 * run.accuracy for run in runs], "%"),
            f"{name}: clock": report.figure([run.clock for run in runs], "min"),
            f"{name}: processor": report.figure([run.processor for run in runs], "CPU-min"),
            f"{name}: memory of one process": report.figure([run.memory / 1e9 for run in runs], "GB"),
        }
    print(report.flags())
    report.tell("accuracy", seeds, figures, {}, arguments.json)


def _run(name: str, changes: Sequence[str], here: Settings) -> Made:
    with tempfile.TemporaryDirectory(prefix="accuracy-") as home:
        paths = {"home": home, "data_dir": str(here.data), "cache_dir": str(Path(home) / "cache")}
        environment = environment_of(**paths)
        command = [sys.executable, "-m", "tailorbird", "sweep", str(SPECS / f"{name}.yaml"), "--json"]
        command += [word for change in changes for word in ("--set", change)]
        return measured(command, environment)


def environment_of(**paths: str) -> dict[str, str]:
    """This process's, with these settings in the place of its own."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    return environment | {PREFIX + key.upper(): value for key, value in paths.items()}


def measured(command: Sequence[str], environment: Mapping[str, str]) -> Made:
    """The time and the accuracy of a sweep that promotes its best."""
    family, start = Family(), time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env={**environment}, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            family.look()
            time.sleep(LOOK_EVERY)
        clock = time.perf_counter() - start
        assert process.stdout
        printed = process.stdout.read()  # a few lines: it fits into the pipe
    if process.returncode:
        raise Unavailable(f"{' '.join(command)} failed")
    family.end()
    return Made(json.loads(printed)["evidence"]["test"]["accuracy"], clock / 60, family.processor / 60, family.memory)


class Family:
    """What descends from this process: seconds of the processor, and the most memory that one of them had."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
        self._spent: dict[psutil.Process, float] = {}
        self.memory = 0.0

    @property
    def processor(self) -> float:
        return sum(self._spent.values())

    def look(self) -> None:
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it has ended
                times = child.cpu_times()
                self._spent[child] = times.user + times.system
                self.memory = max(self.memory, float(child.memory_info().rss))

    def end(self) -> None:
        """Wait for what the command left behind."""
        psutil.wait_procs(psutil.Process().children(recursive=True), timeout=30)


if __name__ == "__main__":
    with reported():
        main()
