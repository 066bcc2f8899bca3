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


@dataclass(frozen=True)
class Answer:
    """The status of one answer, and the seconds until it was there."""

    status: int
    seconds: float


def pinned(core: str, command: list[str]) -> list[str]:
    """The command on one core, where there are two and `taskset` is there."""
    possible = shutil.which("taskset") and (psutil.cpu_count() or 1) > 1
    return ["taskset", "-c", core, *command] if possible else command


def measure(server: psutil.Process, request: Request, connections: int, seconds: float) -> Measured:
    """Send requests for `seconds` over `connections` connections; raises RuntimeError if an answer is not 200."""
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
    end = time.perf_counter() + seconds

    async def ask() -> None:
        connection = await _Connection.open(request)
        while time.perf_counter() < end:
            answer = await connection.ask()
            if answer.status != 200:
                raise RuntimeError(f"an answer is {answer.status}")
            latencies.append(answer.seconds)
        connection.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    return latencies


def open_loop(request: Request, rate: float, seconds: float) -> list[Answer]:
    """Send `rate` requests a second for `seconds`, whether or not earlier ones have been answered."""
    return asyncio.run(_open_loop(request, rate, seconds))


async def _open_loop(request: Request, rate: float, seconds: float) -> list[Answer]:
    answers: list[Answer] = []
    idle: list[_Connection] = []

    async def ask() -> None:
        connection = idle.pop() if idle else await _Connection.open(request)
        answers.append(await connection.ask())
        idle.append(connection)

    async with asyncio.TaskGroup() as group:
        begun = time.perf_counter()
        for turn in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + turn / rate - time.perf_counter()))
            group.create_task(ask())
    for connection in idle:
        connection.close()
    return answers


class _Connection:
    """One that is kept, for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> None:
        self._reader = reader
        self._writer = writer
        head = f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {request.media_type}\r\n"
        self._request = f"{head}content-length: {len(request.body)}\r\n\r\n".encode() + request.body

    @classmethod
    async def open(cls, request: Request) -> "_Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", request.port), request)

    async def ask(self) -> Answer:
        begun = time.perf_counter()
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self._reader.readexactly(int(length.split(b":")[1]))
        return Answer(int(head.split(b" ", 2)[1]), time.perf_counter() - begun)

    def close(self) -> None:
        self._writer.close()
