"""Requests per second and latency of the endpoint, beside the same model behind a plain `@bentoml.api`.

    python -m benchmarks.serving

Both serve one worker, the demo's kind of network on 28x28 pixels, with one thread. In turn, each answers 64 connections
that ask without pause, then one connection alone. The client is this process: on two cores it takes the other one.
Both get JSON; ours also gets the picture as PNG, which the plain service does not take, and makes a signed receipt for
every answer.
"""

import asyncio
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import report
from registry import aliases, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.settings import Settings
from training import candidate, checkpoint, datasets, splits
from training.config import RunConfig
from training.loop import Run

CONNECTIONS = 64
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    given = report.arguments(__doc__)
    runs, seconds = (1, 0.5) if given.quick else (5, 5.0)
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    as_json = json.dumps({"inputs": [pixels.tolist()]}).encode()
    kinds = {"tailorbird, PNG": ("image/png", _png(pixels)), "tailorbird, JSON": ("application/json", as_json)}
    kinds["@bentoml.api, JSON"] = ("application/json", as_json)
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    latencies: dict[str, list[list[float]]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ours = stack.enter_context(_tailorbird(Path(folder)))
        plain = stack.enter_context(_plain(Path(folder)))
        for _ in range(runs):
            for name, (media_type, body) in kinds.items():
                request = _request(plain if "bentoml" in name else ours, media_type, body)
                port = plain if "bentoml" in name else ours
                rates[name].append(len(asyncio.run(_ask(port, request, CONNECTIONS, seconds))) / seconds)
                latencies[name].append(asyncio.run(_ask(port, request, 1, seconds / 2)))
    figures = {}
    for name in kinds:
        figures[f"{name}: {CONNECTIONS} connections"] = report.figure(rates[name], "requests/s")
        for label, part in (("p50", 50), ("p99", 99)):
            values = [1000 * float(np.percentile(one, part)) for one in latencies[name]]
            figures[f"{name}: 1 connection, {label}"] = report.figure(values, "ms")
    beside = ("tailorbird, JSON", "@bentoml.api, JSON")
    medians = [[statistics.median(one) for one in latencies[name]] for name in beside]
    ratios = {
        "requests per second": report.ratio(rates[beside[0]], rates[beside[1]], f"of {beside[1]}"),
        "median latency": report.ratio(medians[0], medians[1], f"of {beside[1]}"),
    }
    report.tell("serving", runs, figures, ratios, given.json)


@contextmanager
def _tailorbird(folder: Path) -> Iterator[int]:
    settings = Settings(home=folder / "home", _env_file=None)  # type: ignore[call-arg]
    config = RunConfig.model_validate(
        {"data": {"name": "digits"}, "model": {"family": "cnn", "depth": 3, "width": 24}, "epochs": 1}
    )
    digits = splits.split(datasets.load(config.data, folder, folder), config.data)
    parts = {name: _enlarged(getattr(digits, name)) for name in ("train", "validation", "holdout", "test")}
    dealt = replace(digits, **parts)
    run = Run(config, dealt)
    made = candidate.make(config, dealt, checkpoint.encode(list(run) and run.best_state), run.epochs, 1)
    (folder / "model.onnx").write_bytes(made.files["model.onnx"])
    with Registry(settings) as registry:
        measured = {"parity": made.parity.record(), "latency": made.latency.record()}
        versions.register(registry, "bench", made.files, measured, {}, "benchmark")
        aliases.promote(registry, Promotion("bench", 1, why="to be measured", who="benchmark"))
    port = _free_port()
    command = ["-m", "tailorbird", "serve", "bench", "--port", str(port)]
    with _server(command, port, "/readyz", {"TAILORBIRD_HOME": str(settings.home)}):
        yield port


def _enlarged(part: splits.Split) -> splits.Split:
    larger = np.zeros((len(part), 28, 28), np.uint8)
    larger[:, 2:26, 2:26] = part.at(slice(None)).repeat(3, 1).repeat(3, 2)
    return splits.Split(larger, np.arange(len(part)), part.targets, part.ids)


@contextmanager
def _plain(folder: Path) -> Iterator[int]:
    port = _free_port()
    command = ["-m", "bentoml", "serve", "benchmarks.plain_bentoml:Plain", "--port", str(port)]
    environment = {"PLAIN_MODEL": str(folder / "model.onnx"), "BENTOML_HOME": str(folder / "bentoml")}
    with _server(command, port, "/readyz", {**environment, "BENTOML_DO_NOT_TRACK": "True"}):
        yield port


@contextmanager
def _server(command: list[str], port: int, ready: str, environment: dict[str, str]) -> Iterator[None]:
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, *command], env={**os.environ, **environment}, **quiet)  # type: ignore[call-overload]
    try:
        end = time.monotonic() + 60
        while True:
            try:
                DIRECT.open(f"http://127.0.0.1:{port}{ready}", timeout=1).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


async def _ask(port: int, request: bytes, connections: int, seconds: float) -> list[float]:
    """Ask again and again over some connections; returns the seconds that each answer took."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (start := time.perf_counter()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            took.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return took


def _request(port: int, media_type: str, body: bytes) -> bytes:
    head = f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: {media_type}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
