"""The endpoint beside FastAPI, a bare ASGI handler and a plain `@bentoml.api`, all with the same model.

    python -m benchmarks.serving

Each serves one worker, an MLP 784-256-128-10 on one 28x28 image with one thread, on one core; the client, `wrk` where
it is installed, has the other. In turn, each answers 64 connections that ask without pause, then 16, then one alone.
Ours validates, counts, limits and makes a signed receipt for every answer, which the others do not. The bare handler
parses, runs and answers, unchecked, on uvloop: the limit. FastAPI has pydantic models for request and response, and
runs by uvicorn[standard].
"""

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks import report
from benchmarks.load import SERVER_CORE, Measured, Request, measure, pinned
from registry import aliases, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.package.lineage import Lineage
from tailorbird.settings import Settings
from training import candidate, checkpoint, datasets, splits
from training.config import RunConfig
from training.loop import Run

CONNECTIONS = (64, 16, 1)
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ROOT = Path(__file__).resolve().parent.parent
PIXELS = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
"""What everybody is asked about."""


def main() -> None:
    options = report.arguments(__doc__)
    runs, seconds = (1, 0.2) if options.quick else (5, 3.0)
    results: dict[tuple[str, int], list[Measured]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = _servers(Path(folder), stack)
        for _ in range(runs):
            for name, (server, request) in servers.items():
                for connections in CONNECTIONS:
                    results[name, connections].append(measure(server, request, connections, seconds))
    figures, ratios = _summary(results)
    report.tell("serving", runs, figures, ratios, options.json)


def _servers(folder: Path, stack: ExitStack) -> dict[str, tuple[psutil.Process, Request]]:
    """Every contender by name: its process, and what it is asked."""
    settings = _registered(folder)
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml")}
    commands = {
        "tailorbird": ["tailorbird", "serve", "bench", "--port"],
        "fastapi": ["uvicorn", "benchmarks.plain_fastapi:app", "--no-access-log", "--log-level", "error", "--port"],
        "bare": ["uvicorn", "benchmarks.plain_asgi:app", "--no-access-log", "--log-level", "error", "--port"],
        "bentoml": ["bentoml", "serve", "benchmarks.plain_bentoml:Plain", "--port"],
    }
    environment = quiet | {"PLAIN_MODEL": str(folder / "model.onnx"), "TAILORBIRD_HOME": str(settings.home)}
    environment["TAILORBIRD_DRAIN_SECONDS"] = "0"
    running = {name: stack.enter_context(_server(command, environment)) for name, command in commands.items()}
    bodies = {
        "JSON": ("application/json", _body()),
        "octets": ("application/octet-stream", PIXELS.tobytes()),
        "PNG": ("image/png", _png()),
    }
    asked = [(name, "JSON") for name in commands]
    asked += [("tailorbird", "octets"), ("bare", "octets"), ("tailorbird", "PNG")]
    return {f"{name}, {form}": (running[name][0], Request(running[name][1], *bodies[form])) for name, form in asked}


def _summary(
    results: dict[tuple[str, int], list[Measured]],
) -> tuple[dict[str, dict[str, object]], dict[str, dict[str, object]]]:
    figures, ratios = {}, {}
    for (name, connections), measured in results.items():
        of = f"{name}, {connections} connection{'s' if connections > 1 else ''}"
        if connections == CONNECTIONS[0]:
            figures[of] = report.figure([one.rate for one in measured], "requests/s")
            figures[f"{of}: CPU"] = report.figure([one.cpu for one in measured], "us/request")
        else:
            figures[f"{of}: p50"] = report.figure([one.p50 for one in measured], "ms")
            figures[f"{of}: p99"] = report.figure([one.p99 for one in measured], "ms")
    for other, form in (("fastapi", "JSON"), ("bare", "JSON"), ("bare", "octets"), ("bentoml", "JSON")):
        ours, theirs = (results[f"{name}, {form}", CONNECTIONS[0]] for name in ("tailorbird", other))
        rates = [one.rate for one in ours], [one.rate for one in theirs]
        ratios[f"{form.lower()}_{other}"] = report.ratio(*rates, f"requests/s of {other}, {form}")
    for name in ("tailorbird", "bare"):
        many, alone = results[f"{name}, JSON", 16], results[f"{name}, JSON", 1]
        tail = [one.p99 for one in many], [one.p50 for one in many]
        ratios[f"p99 of {name} at 16 connections"] = report.ratio(*tail, "its p50")
        if name == "bare":
            medians = [one.p50 for one in results["tailorbird, JSON", 1]], [one.p50 for one in alone]
            ratios["p50 at 1 connection"] = report.ratio(*medians, "the p50 of the limit")
    return figures, ratios


def _registered(folder: Path) -> Settings:
    """A registry with the model `bench`, whose network also lies beside it for the others."""
    settings = Settings(home=folder / "home", _env_file=None)  # type: ignore[call-arg]
    config = RunConfig.model_validate(
        {"data": {"name": "digits"}, "model": {"family": "mlp", "width": [256, 128]}, "epochs": 1}
    )
    digits = splits.split(datasets.load(config.data, folder, folder), config.data)
    parts = {name: _enlarged(getattr(digits, name)) for name in ("train", "validation", "holdout", "test")}
    dealt = replace(digits, **parts)
    run = Run(config, dealt)
    made = candidate.make(config, dealt, checkpoint.encode(list(run) and run.best_state), run.epochs, 1)
    (folder / "model.onnx").write_bytes(made.files["model.onnx"])
    with Registry(settings) as registry:
        versions.register(registry, "bench", made.files, made.export, Lineage(), "benchmark")
        aliases.promote(registry, Promotion("bench", 1, why="to be measured", who="benchmark", force=True))
    return settings


def _enlarged(part: splits.Split) -> splits.Split:
    larger = np.zeros((len(part), 28, 28), np.uint8)
    larger[:, 2:26, 2:26] = part.at(slice(None)).repeat(3, 1).repeat(3, 2)
    return splits.Split(larger, np.arange(len(part)), part.targets, part.ids)


@contextmanager
def _server(command: list[str], environment: dict[str, str]) -> Iterator[tuple[psutil.Process, int]]:
    """A server that has begun to answer: its process and its port."""
    port = _free_port()
    whole = pinned(SERVER_CORE, [sys.executable, "-m", *command, str(port)])
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(whole, env={**os.environ, **environment}, **quiet)  # type: ignore[call-overload]
    try:
        _wait(process, port)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(60)


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + 60
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", _body(), {"Content-Type": "application/json"})
    while True:
        try:
            DIRECT.open(request, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > end or process.poll() is not None:
                raise
            time.sleep(0.1)


def _body() -> bytes:
    return json.dumps({"inputs": [PIXELS.tolist()]}).encode()


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    return buffer.getvalue()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
