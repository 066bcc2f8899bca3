"""Servers for benchmarks: trained models in a registry of their own, and processes on a core of theirs that serve."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.load import SERVER_CORE, Request, pinned
from registry import aliases, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.package.lineage import Lineage
from tailorbird.settings import Settings
from training import candidate, checkpoint, datasets, splits
from training.config import RunConfig
from training.loop import Run

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Server:
    """A server that answers; `started` is the seconds from its start to its first prediction."""

    process: psutil.Process
    port: int
    started: float

    @property
    def worker(self) -> psutil.Process:
        """Of `tailorbird serve` with one worker, the process that answers."""
        (worker,) = self.process.children(recursive=True)
        return worker


@contextmanager
def running(command: list[str], environment: dict[str, str], first: Request) -> Iterator[Server]:
    """A server on its core, from when it has answered the `first` request; the command's last argument is the port."""
    port = _free_port()
    whole = pinned(SERVER_CORE, [sys.executable, "-m", *command, str(port)])
    begun = time.monotonic()
    process = subprocess.Popen(
        whole, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(process, port, first)
        yield Server(psutil.Process(process.pid), port, time.monotonic() - begun)
    finally:
        process.terminate()
        process.wait(60)


def register(settings: Settings, name: str, model: dict[str, Any]) -> bytes:
    """Register a network for images of 28x28 pixels as champion of `name`; returns its ONNX file."""
    config = RunConfig.model_validate({"data": {"name": "digits"}, "model": model, "epochs": 1})
    digits = splits.split(datasets.load(config.data, settings.home, settings.home), config.data)
    parts = {part: _enlarged(getattr(digits, part)) for part in ("train", "validation", "holdout", "test")}
    images = replace(digits, **parts)
    run = Run(config, images)
    for _ in run:
        pass
    package = candidate.make(config, images, checkpoint.encode(run.best_state), run.epochs, 1)
    with Registry(settings) as registry:
        versions.register(registry, name, package.files, package.export, Lineage(), "benchmark")
        aliases.promote(registry, Promotion(name, 1, why="to be measured", who="benchmark", force=True))
    return package.files["model.onnx"]


def _enlarged(part: splits.Split) -> splits.Split:
    larger = np.zeros((len(part), 28, 28), np.uint8)
    larger[:, 2:26, 2:26] = part.at(slice(None)).repeat(3, 1).repeat(3, 2)
    return splits.Split(larger, np.arange(len(part)), part.targets, part.ids)


def _wait(process: "subprocess.Popen[bytes]", port: int, first: Request) -> None:
    deadline = time.monotonic() + START_SECONDS
    url, headers = f"http://127.0.0.1:{port}/predict", {"Content-Type": first.media_type}
    while True:
        try:
            DIRECT.open(urllib.request.Request(url, first.body, headers), timeout=START_SECONDS).close()
            return
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise
            time.sleep(POLL_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
