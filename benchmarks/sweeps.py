"""Whole sweeps beside plain Ray Tune: 32 MLPs of three shapes, 8 epochs each, on Fashion-MNIST.

    python -m benchmarks.sweeps

In turn, Ray's start included: Ray Tune as its tutorials use it, a process for each trial, without stopping and with its
ASHA; and this project's sweep without stopping, with halving, and with halving and probes. Fashion-MNIST must lie below
TAILORBIRD_DATA_DIR. A round takes 25 minutes on two quiet cores. Then `long`: 32 trials of some twenty seconds,
for the share of the time in which the cores do not train; and `short`: 1,000 trials of a short epoch, for what a trial
costs beside its training, and whether the ledger slows down as it fills. One of these can be asked for by its name.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks import report
from registry import news
from registry.core import Registry
from registry.ledger import Report
from tailorbird import settings
from tailorbird.errors import reported
from tailorbird.settings import PREFIX, Settings
from tuning import spec as specs

ROOT = Path(__file__).resolve().parent.parent
SHAPES = ([128], [256, 128], [512, 256])


@dataclass
class Size:
    """How much is measured."""

    data: str
    trials: int
    epochs: int
    long: int
    short: int


WHOLE, QUICK = Size("fashion_mnist", 32, 8, 17, 1_000), Size("digits", 3, 2, 3, 6)
OURS: dict[str, dict[str, Any]] = {
    "ours": {"scheduler": "none"},
    "ours, halving": {"scheduler": "halving"},
    "ours, probes": {"scheduler": "halving", "probe": True},
}
RATIOS = {
    "all_epochs": ("plain", "ours", "plain Ray Tune ÷ ours, neither stops a trial"),
    "own_stopping": ("plain, ASHA", "ours, halving", "plain Ray Tune with ASHA ÷ ours with halving"),
    "probes": ("plain, ASHA", "ours, probes", "plain Ray Tune with ASHA ÷ ours with halving and probes"),
    "fifo": ("plain", "ours, halving", "plain Ray Tune without stopping ÷ ours with halving"),
}


def main() -> None:
    arguments = report.arguments(__doc__, [*RATIOS, "long", "short"])
    size = QUICK if arguments.quick else WHOLE
    ratios = {name: parts for name, parts in RATIOS.items() if name in arguments.names}
    seconds, figures = dict[str, list[float]](), {}
    for name in dict.fromkeys(name for plain, ours, _ in ratios.values() for name in (plain, ours)):
        if name in OURS:
            swept = _swept(spec(size) | OURS[name])
            took, accuracy = swept.took, swept.accuracy
            figures[f"{name}: first report"] = report.figure([swept.first], "s")
            figures[f"{name}: beside training"] = report.figure([100 * swept.beside], "% of the time")
        else:
            took, accuracy = _plain(size, name)
        seconds[name] = [took]
        print(f"{name}: {took:.1f} s, best validation accuracy {accuracy:.2%}", flush=True)
        figures[f"{name}: best validation accuracy"] = report.figure([100 * accuracy], "%")
    figures |= {f"{name}: time": report.figure(times, "s") for name, times in seconds.items()}
    if "long" in arguments.names:
        figures |= _long(size)
    if "short" in arguments.names:
        figures |= _short(size)
    shown = {name: report.ratio(seconds[a], seconds[b], words) for name, (a, b, words) in ratios.items()}
    report.tell("sweeps", 1, figures, shown, arguments.json)


def spec(size: Size) -> dict[str, Any]:
    """The sweep that both run, without stopping; without a held-out part, since nothing is promoted."""
    space = {
        "model.width": {"choice": list(SHAPES)},
        "model.dropout": {"uniform": [0.0, 0.4]},
        "optimizer.lr": {"loguniform": [1e-4, 1e-2]},
    }
    return {
        "name": "benchmark",
        "data": {"name": size.data, "validation": 0.1, "holdout": 0},
        "run": {"model": {"family": "mlp"}, "batch_size": 64, "epochs": size.epochs},
        "space": space,
        "trials": size.trials,
        **OURS["ours"],
    }


def _plain(size: Size, name: str) -> tuple[float, float]:
    parsed = specs.parse(spec(size))
    trials = [
        {
            "width": config.model.width, "dropout": config.model.dropout,
            "lr": config.optimizer.lr, "epochs": config.epochs,
            "batch_size": config.batch_size, "data": config.data.model_dump(), "folder": str(settings.load().data),
        }
        for config in parsed.configs
    ]  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.plain_tune", json.dumps({"trials": trials, "asha": name != "plain"})]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, float(done.stdout.split()[-1])


@dataclass
class Swept:
    """A sweep that was run as a command: seconds on the clock, and what its ledger holds then."""

    took: float
    began: float
    moments: list[float]
    reports: list[Report]

    @property
    def first(self) -> float:
        """Seconds until the first report."""
        return min(self.moments) - self.began

    @property
    def accuracy(self) -> float:
        return max(report.metrics["val_accuracy"] for report in self.reports)

    @property
    def beside(self) -> float:
        """The share of the time in which the cores did not train."""
        trained = sum(report.metrics["seconds"] for report in self.reports) / (os.cpu_count() or 1)
        return max(0.0, 1 - trained / self.took)

    @property
    def slower(self) -> float:
        """How much longer the last tenth of the reports took than the first."""
        part = max(1, len(self.moments) // 10)
        first, last = self.moments[part] - self.moments[0], self.moments[-1] - self.moments[-1 - part]
        return max(1e-9, last / first) if first else 1.0


def _swept(raw: dict[str, Any]) -> Swept:
    """Run a sweep in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="sweeps-") as folder:
        path = Path(folder) / "spec.yaml"
        path.write_text(yaml.safe_dump(raw))
        environment = os.environ | {PREFIX + "HOME": folder, PREFIX + "DATA_DIR": str(settings.load().data)}
        command = [sys.executable, "tuning/sweep.py", str(path), "--id", "benchmark"]
        began, start = time.time(), time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
        took = time.perf_counter() - start
        with Registry(Settings(home=Path(folder), _env_file=None)) as registry:
            entries = news.reports(registry, "benchmark")
        moments = [datetime.fromisoformat(entry.reported).timestamp() for entry in entries]
        return Swept(took, began, moments, [entry.report for entry in entries])


def _long(size: Size) -> dict[str, dict[str, Any]]:
    """Trials that take many epochs each, none stopped."""
    swept = _swept(spec(replace(size, epochs=size.long)))
    each = sum(report.metrics["seconds"] for report in swept.reports) / size.trials
    return {
        "long trials: training of each": report.figure([each], "s"),
        "long trials: time": report.figure([swept.took], "s"),
        "long trials: beside training": report.figure([100 * swept.beside], "% of the time"),
    }


def _short(size: Size) -> dict[str, dict[str, Any]]:
    """Many trials that take a moment each."""
    changes = {**spec(size), "data": {"name": "digits", "validation": 0.2, "holdout": 0}, "trials": size.short}
    changes["run"] = {"model": {"family": "linear"}, "epochs": 1, "batch_size": 64}
    changes["space"] = {"optimizer.lr": {"loguniform": [1e-4, 1e-2]}}
    swept = _swept(changes)
    return {
        f"{size.short:,} short trials: time": report.figure([swept.took], "s"),
        f"{size.short:,} short trials: last tenth ÷ first": report.figure([swept.slower], "x"),
    }


if __name__ == "__main__":
    with reported():
        main()
