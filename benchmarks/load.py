"""Clients that ask a server without pause: `wrk` where it is installed, else one in Python, which costs more."""

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

CLIENT_CORE = "1"
SERVER_CORE = "0"
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Request:
    """A body to be sent to `/predict` of a port."""

    port: int
    media_type: str
    body: bytes


@dataclass(frozen=True)
class Measured:
    """Requests per second, milliseconds of the median and the 99th of 100, and the server's CPU in us per request."""

    rate: float
    p50: float
    p99: float
    cpu: float


def pinned(core: str, command: list[str]) -> list[str]:
    """The command on one core, where there are two and `taskset` is there."""
    possible = shutil.which("taskset") and (psutil.cpu_count() or 1) > 1
    return ["taskset", "-c", core, *command] if possible else command


def measure(server: psutil.Process, request: Request, connections: int, seconds: float) -> Measured:
    """Ask for so long over so many connections; raises RuntimeError where an answer is no 200."""
    before = _cpu(server)
    ask = _wrk if shutil.which("wrk") and seconds >= 1 else _python  # wrk counts in whole seconds
    count, rate, p50, p99 = ask(request, connections, seconds)
    return Measured(rate, p50, p99, 1e6 * (_cpu(server) - before) / count)


def _cpu(server: psutil.Process) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in (server, *server.children(recursive=True)))


def _wrk(request: Request, connections: int, seconds: float) -> tuple[int, float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder) / "body", Path(folder) / "post.lua"
        body.write_bytes(request.body)
        script.write_text(
            f'local file = io.open("{body}", "rb")\nwrk.method = "POST"\nwrk.body = file:read("*a")\n'
            f'wrk.headers["Content-Type"] = "{request.media_type}"\n'
        )
        url = f"http://127.0.0.1:{request.port}/predict"
        options = [
            "-t1",
            f"-c{connections}",
            f"-d{seconds:g}s",
            "--latency",
            "--timeout",
            "30s",
            "-s",
            str(script),
            url,
        ]
        text = subprocess.run(pinned(CLIENT_CORE, ["wrk", *options]), capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(text)
    rate = float(_only(r"Requests/sec:\s+([\d.]+)", text)[0])
    count = int(_only(r"(\d+) requests in", text)[0])
    p50, p99 = (_milliseconds(_only(rf"{part}%\s+([\d.]+)(us|ms|s)", text)) for part in (50, 99))
    return count, rate, p50, p99


def _only(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(text)
    return match.groups()


def _milliseconds(number: tuple[str, ...]) -> float:
    return float(number[0]) * UNITS[number[1]]


def _python(request: Request, connections: int, seconds: float) -> tuple[int, float, float, float]:
    latencies = asyncio.run(_ask(request, connections, seconds))
    p50, p99 = np.percentile(latencies, [50, 99])
    return len(latencies), len(latencies) / seconds, 1000 * float(p50), 1000 * float(p99)


async def _ask(request: Request, connections: int, seconds: float) -> list[float]:
    latencies: list[float] = []
    head = f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {request.media_type}\r\n"
    whole = f"{head}content-length: {len(request.body)}\r\n\r\n".encode() + request.body
    end = time.perf_counter() + seconds

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", request.port)
        while (start := time.perf_counter()) < end:
            writer.write(whole)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode())
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            latencies.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return latencies
