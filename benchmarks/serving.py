"""The endpoint beside FastAPI, a bare ASGI handler and a plain `@bentoml.api`, all with the same model.

    python -m benchmarks.serving                      # all parts, or some: requests batches overload start

Each serves one worker with one thread on one core; the client, `wrk` where it is installed, has the other. Ours
validates, counts, limits and makes a signed receipt for every answer, which the others do not.

requests   an MLP 784-256-128-10 on one 28x28 image: in turn, each answers 64 connections that ask without pause, then
           16, then one alone. The bare handler parses, runs and answers, unchecked, on uvloop: the limit. FastAPI has
           pydantic models for request and response, reads by orjson, and runs by uvicorn[standard].
batches    images per second as octets, against ONNX Runtime alone on the same core; also of a CNN 32-64.
overload   twice as many requests as the CNN can answer come for half a minute, whatever became of those before.
start      from the command to the first prediction, the package being in the cache.
"""

import io
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import load, report, servers
from benchmarks.load import Measured, Request, measure
from benchmarks.servers import Server
from tailorbird import onnx
from tailorbird.settings import Settings

CONNECTIONS = (64, 16, 1)
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"family": "mlp", "width": [256, 128]},
    "cnn": {"family": "cnn", "width": [32, 64]},
}
BATCHES = (("mlp", 32), ("mlp", 256), ("cnn", 32))
BATCH_CONNECTIONS = 4
OVERLOAD_MODEL_SECONDS = 0.002
"""The least time of the model for one request of the overload."""
MEGABYTE = 1e6
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (28, 28), np.uint8)
JSON = ("application/json", json.dumps({"inputs": [PIXELS.tolist()]}).encode())

Table = dict[str, dict[str, Any]]


@dataclass
class Bench:
    """The set-up of a measurement: models in a registry, also as ONNX, and number and length of rounds."""

    folder: Path
    runs: int
    seconds: float
    overload_seconds: float
    settings: Settings = field(init=False)
    models: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.folder / "home", _env_file=None)
        self.models = {name: servers.register(self.settings, name, model) for name, model in MODELS.items()}
        (self.folder / "model.onnx").write_bytes(self.models["mlp"])

    def running(self, command: list[str]) -> AbstractContextManager[Server]:
        """A server, ours or another."""
        environment = {
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(self.folder / "bentoml"),
            "PLAIN_MODEL": str(self.folder / "model.onnx"),
            "TAILORBIRD_HOME": str(self.settings.home),
            "TAILORBIRD_DRAIN_SECONDS": "0",
        }
        return servers.running(command, environment, Request(0, *JSON))


def tailorbird(model: str) -> list[str]:
    return ["tailorbird", "serve", model, "--port"]


def requests(bench: Bench) -> tuple[Table, Table]:
    commands = {
        "tailorbird": tailorbird("mlp"),
        "fastapi": ["uvicorn", "benchmarks.plain_fastapi:app", "--no-access-log", "--log-level", "error", "--port"],
        "bare": ["uvicorn", "benchmarks.plain_asgi:app", "--no-access-log", "--log-level", "error", "--port"],
        "bentoml": ["bentoml", "serve", "benchmarks.plain_bentoml:Plain", "--port"],
    }
    bodies = {"JSON": JSON, "octets": ("application/octet-stream", PIXELS.tobytes()), "PNG": ("image/png", _png())}
    forms = [(name, "JSON") for name in commands]
    forms += [("tailorbird", "octets"), ("bare", "octets"), ("tailorbird", "PNG")]
    results: dict[tuple[str, int], list[Measured]] = defaultdict(list)
    with ExitStack() as stack:
        contenders = {name: stack.enter_context(bench.running(command)) for name, command in commands.items()}
        for _, (name, form), connections in product(range(bench.runs), forms, CONNECTIONS):
            request = Request(contenders[name].port, *bodies[form])
            measured = measure(contenders[name].process, request, connections, bench.seconds)
            results[f"{name}, {form}", connections].append(measured)
    return _figures(results), _ratios(results)


def _figures(results: dict[tuple[str, int], list[Measured]]) -> Table:
    figures = {}
    for (name, connections), measured in results.items():
        title = f"{name}, {connections} connection{'s' if connections > 1 else ''}"
        if connections == CONNECTIONS[0]:
            figures[title] = report.figure([result.rate for result in measured], "requests/s")
            figures[f"{title}: CPU"] = report.figure([result.cpu for result in measured], "us/request")
        else:
            figures[f"{title}: p50"] = report.figure([result.p50 for result in measured], "ms")
            figures[f"{title}: p99"] = report.figure([result.p99 for result in measured], "ms")
    return figures


def _ratios(results: dict[tuple[str, int], list[Measured]]) -> Table:
    ratios = {}
    for other, form in (("fastapi", "JSON"), ("bare", "JSON"), ("bare", "octets"), ("bentoml", "JSON")):
        ours, theirs = (
            [result.rate for result in results[f"{name}, {form}", CONNECTIONS[0]]] for name in ("tailorbird", other)
        )
        ratios[f"{form.lower()}_{other}"] = report.ratio(ours, theirs, f"requests/s of {other}, {form}")
    for name in ("tailorbird", "bare"):
        many = results[f"{name}, JSON", 16]
        tail = [result.p99 for result in many], [result.p50 for result in many]
        ratios[f"p99 of {name} at 16 connections"] = report.ratio(*tail, "its p50")
    ours, theirs = ([result.p50 for result in results[f"{name}, JSON", 1]] for name in ("tailorbird", "bare"))
    ratios["p50 at 1 connection"] = report.ratio(ours, theirs, "the p50 of the limit")
    return ratios


def batches(bench: Bench) -> tuple[Table, Table]:
    rates: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    with ExitStack() as stack:
        contenders = {model: stack.enter_context(bench.running(tailorbird(model))) for model in bench.models}
        for _, (model, size) in product(range(bench.runs), BATCHES):
            request = Request(contenders[model].port, *_octets(size))
            served = measure(contenders[model].process, request, BATCH_CONNECTIONS, bench.seconds).rate
            alone = 1 / _seconds_alone(bench.models[model], size, bench.seconds)
            rates[model, size].append((size * served, size * alone))
    figures, ratios = {}, {}
    for (model, size), pairs in rates.items():
        ours, limits = ([pair[side] for pair in pairs] for side in (0, 1))
        name = f"{model.upper()}, batches of {size}"
        figures[name] = report.figure(ours, "images/s")
        figures[f"{name}: in process"] = report.figure(limits, "images/s")
        ratios[name] = report.ratio(ours, limits, "ONNX Runtime in process")
    return figures, ratios


def _seconds_alone(model: bytes, size: int, seconds: float) -> float:
    """The time of a batch in ONNX Runtime alone, on the server's core."""
    session, images = onnx.session(model), _images(size)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(load.SERVER_CORE)})
    try:
        begun, count = time.perf_counter(), 0
        while time.perf_counter() < begun + seconds:
            session.run(["probabilities"], {session.get_inputs()[0].name: images})
            count += 1
        return (time.perf_counter() - begun) / count
    finally:
        os.sched_setaffinity(0, cores)


def overload(bench: Bench) -> tuple[Table, Table]:
    model, size = bench.models["cnn"], 16
    while _seconds_alone(model, size, 0.1) < OVERLOAD_MODEL_SECONDS:
        size *= 2
    with bench.running(tailorbird("cnn")) as server:
        request = Request(server.port, *_octets(size))
        alone = measure(server.process, request, 1, bench.seconds).p50
        rate = 2 * measure(server.process, request, 2, bench.seconds).rate
        load.open_loop(request, rate, bench.overload_seconds / 3)
        before = server.worker.memory_info().rss
        answers = load.open_loop(request, rate, bench.overload_seconds)
        memory = server.worker.memory_info().rss
    accepted, refused = (1000 * np.array([a.seconds for a in answers if a.status == status]) for status in (200, 503))
    if len(accepted) + len(refused) < len(answers) or not len(accepted):
        raise RuntimeError(f"answers under overload: {sorted({answer.status for answer in answers})}")
    tail = float(np.percentile(accepted, 99))
    figures = {
        "overload: requests": report.figure([rate], "requests/s"),
        "overload: accepted": report.figure([len(accepted) / bench.overload_seconds], "requests/s"),
        "overload: p50 before it": report.figure([alone], "ms"),
        "overload: p99 of the accepted": report.figure([tail], "ms"),
        "overload: p99 of the refused": report.figure([float(np.percentile([0.0, *refused], 99))], "ms"),
        "overload: memory of the worker": report.figure([memory / MEGABYTE], "MB"),
    }
    ratios = {
        "p99 of the accepted under overload": report.ratio([tail], [alone], "the p50 before it"),
        "memory after the overload": report.ratio([memory], [before], "that after ten seconds of it"),
    }
    return figures, ratios


def start(bench: Bench) -> tuple[Table, Table]:
    seconds, memory = [], []
    for _ in range(bench.runs):
        with bench.running(tailorbird("mlp")) as server:
            seconds.append(server.started)
            memory.append(server.worker.memory_info().rss / MEGABYTE)
    return {"start": report.figure(seconds, "s"), "start: memory of the worker": report.figure(memory, "MB")}, {}


def _images(size: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    return RANDOM.integers(0, 256, (size, 28, 28), np.uint8)


def _octets(size: int) -> tuple[str, bytes]:
    return "application/octet-stream", _images(size).tobytes()


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    return buffer.getvalue()


PARTS: dict[str, Callable[[Bench], tuple[Table, Table]]] = {
    "requests": requests,
    "batches": batches,
    "overload": overload,
    "start": start,
}


def main() -> None:
    options = report.arguments(__doc__, tuple(PARTS))
    runs, seconds, overload_seconds = (1, 0.2, 1.0) if options.quick else (5, 2.0, 30.0)
    figures: Table = {}
    ratios: Table = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), runs, seconds, overload_seconds)
        for name in options.names:
            part = PARTS[name](bench)
            figures |= part[0]
            ratios |= part[1]
    report.tell("serving", runs, figures, ratios, options.json)


if __name__ == "__main__":
    main()
