"""The whole system as processes: database, store, Ray, endpoints behind a proxy, Prometheus."""

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent.parent


def free_port() -> int:
    """Outside of the ports that Ray gives its workers."""
    while True:
        with contextlib.closing(socket.socket()) as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", random.randrange(20_000, 30_000)))
            return int(trial.getsockname()[1])


def until(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """What `condition` gives once it is true; errors of a connection count as not yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError, OSError, KeyError, IndexError, ValueError):
            if value := condition():
                return value
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:g} s")


class Process:
    """A program in a process group of its own, with its output in a file."""

    def __init__(self, log: Path, command: list[Any], environment: dict[str, str]) -> None:
        self.log, self.command, self.environment = log, [str(word) for word in command], environment
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the whole group, and wait for the program's end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait(60)


class Proxy(socketserver.ThreadingTCPServer):
    """Hands each connection to the next backend that takes it, as a Kubernetes Service does with ready pods."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, backends: list[int]) -> None:
        self.backends = backends
        self.turn = itertools.count()
        super().__init__(("127.0.0.1", 0), _Connection)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def ready(self) -> list[int]:
        return [port for port in self.backends if _ready(port)]


class _Connection(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        start = next(self.server.turn)
        count = len(self.server.backends)
        for offset in range(count):
            port = self.server.backends[(start + offset) % count]
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as backend:
                back = threading.Thread(target=_copy, args=(backend, self.request), daemon=True)
                back.start()
                _copy(self.request, backend)
                back.join()
                return


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _ready(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    return False


class Ray:
    """A head and a worker node that were started apart, with a token."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.port, self.dashboard = free_port(), free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.dashboard}"

    def start(self) -> None:
        head = ["--head", f"--port={self.port}", f"--dashboard-port={self.dashboard}", "--num-cpus=0"]
        self.head = self._node("head", [*head, f"--temp-dir={self.folder / 'r'}"])
        until(self._answers, "the head of Ray answers")
        self.worker = self._node("worker", [f"--address=127.0.0.1:{self.port}", "--num-cpus=2"])

    def stop(self) -> None:
        for node in (self.worker, self.head):
            node.kill()

    def headers(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self.environment['RAY_AUTH_TOKEN']}"}

    def submit(self, entrypoint: str, *, token: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [BIN / "ray", "job", "submit", "--address", self.url, "--no-wait", "--", *entrypoint.split()]
        environment = self.environment | ({"RAY_AUTH_TOKEN": token} if token else {})
        return subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True)

    def _node(self, name: str, words: list[str]) -> Process:
        command = [BIN / "ray", "start", "--block", "--node-ip-address=127.0.0.1", "--object-store-memory=200000000"]
        command.append(f"--dashboard-agent-listen-port={free_port()}")  # of two nodes at one address
        return Process(self.folder / f"{name}.log", [*command, *words], self.environment)

    def _answers(self) -> bool:
        return httpx.get(f"{self.url}/api/jobs/", headers=self.headers(), timeout=5).status_code == 200


def command(environment: dict[str, str], *words: Any) -> Any:
    """What `tailorbird … --json` prints."""
    ran = subprocess.run(
        [BIN / "tailorbird", *map(str, words), "--json"], env=environment, capture_output=True, text=True, cwd="/"
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@contextlib.contextmanager
def prometheus(folder: Path, targets: list[int], rules: Path) -> Iterator[str]:
    """A Prometheus with the rules of k8s/, whose waits are cut to seconds; gives its URL."""
    groups = yaml.safe_load(rules.read_text())["spec"]["groups"]
    for group in groups:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = "1s"
    (folder / "rules.yml").write_text(json.dumps({"groups": groups}))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": "tailorbird", "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in targets]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    words = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'series'}"]
    server = Process(
        folder / "prometheus.log", ["prometheus", *words, f"--web.listen-address=127.0.0.1:{port}"], dict(os.environ)
    )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: httpx.get(f"{url}/-/ready").status_code == 200, "Prometheus is ready")
        yield url
    finally:
        server.kill(signal.SIGTERM)
