"""The whole system as processes: database, store, Ray, endpoints behind a proxy, Prometheus."""

import contextlib
import itertools
import json
import os
import secrets
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psutil
import yaml

from tests.ports import free_port
from tests.rights import WITHOUT_RIGHTS

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "TAILORBIRD_E2E"


def until(condition: Callable[[], Any], what: str, *, seconds: float = 180, of: "Process | None" = None) -> Any:
    """What `condition` gives once it is true; errors of a connection count as not yet.

    Ends at once where the process that is waited for has ended.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError, OSError, KeyError, IndexError, ValueError):
            if value := condition():
                return value
        assert of is None or of.running, f"{what}: {of.log.name} ended:\n{of.log.read_text()[-2000:]}"
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:g} s\n{of.log.read_text()[-2000:] if of else ''}")


class Process:
    """A program with its output in a file; as a container's, its end is that of all which it started."""

    every: ClassVar[list["Process"]] = []

    def __init__(self, log: Path, command: list[Any], environment: dict[str, str]) -> None:
        self.log, self.command = log, [str(word) for word in command]
        self.environment = environment | {MARK: secrets.token_hex(8)}
        self.every.append(self)
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

    def wait(self, seconds: float = 600) -> int:
        """The status that it ends with by itself."""
        return self._process.wait(seconds)

    def stop(self) -> int:
        """As Kubernetes ends a pod: SIGTERM to the program, and what is left of it is killed; returns its status."""
        self._process.terminate()
        status = self._process.wait(60)
        self.kill()
        return status

    def kill(self) -> None:
        while left := list(self._all()):
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._process.poll()  # a zombie is in the list until it is waited for
            psutil.wait_procs(left, 5)

    def _all(self) -> Iterator[psutil.Process]:
        """Whatever has our mark in its environment: process groups and parents lose what makes a session of its own."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.environment[MARK]:
                    yield process


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


class Store(Process):
    """A server that speaks S3 and keeps everything in memory."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(folder / "store.log", [sys.executable, "-m", "moto.server", "--port", port], {})


class Ray:
    """A head and a worker node that were started apart, with a token.

    As in their pods, neither can write TAILORBIRD_HOME, and the worker has no variables but Ray's.
    """

    def __init__(self, folder: Path, temporary: str, environment: dict[str, str]) -> None:
        home = folder / "read-only"
        home.mkdir(mode=0o555, exist_ok=True)
        self.folder, self.environment = folder, environment | {"TAILORBIRD_HOME": str(home)}
        self.port, self.dashboard = free_port(), free_port()
        head = ["--head", f"--port={self.port}", f"--dashboard-port={self.dashboard}", "--num-cpus=0"]
        self.head = self._node("head", [*head, f"--temp-dir={temporary}"], self.environment)
        until(self._answers, "the head of Ray answers", of=self.head)
        kept = {key: value for key, value in environment.items() if key in ("PATH", "HOME") or key.startswith("RAY_")}
        kept["TAILORBIRD_HOME"] = str(home)  # the image's
        self.worker = self._node("worker", [f"--address=127.0.0.1:{self.port}", "--num-cpus=2"], kept)

    def restart(self) -> None:
        self.kill()
        self.head.start()
        until(self._answers, "the head of Ray answers again", of=self.head)
        self.worker.start()

    def kill(self) -> None:
        self.worker.kill()
        self.head.kill()

    def submit(self, entrypoint: str, **variables: str) -> Process:
        """`ray job submit` with other variables, which ends as the job does."""
        url = f"http://127.0.0.1:{self.dashboard}"
        words = [BIN / "ray", "job", "submit", "--address", url, "--", *entrypoint.split()]
        return Process(self.folder / "submitter.log", words, self.environment | variables)

    def _node(self, name: str, words: list[str], environment: dict[str, str]) -> Process:
        command = [*WITHOUT_RIGHTS, BIN / "ray", "start", "--block", "--node-ip-address=127.0.0.1"]
        command.append("--object-store-memory=200000000")
        command.append(f"--dashboard-agent-listen-port={free_port()}")  # of two nodes at one address
        return Process(self.folder / f"{name}.log", [*command, *words], environment)

    def _answers(self) -> bool:
        headers = {"Authorization": f"Bearer {self.environment['RAY_AUTH_TOKEN']}"}
        return httpx.get(f"http://127.0.0.1:{self.dashboard}/api/jobs/", headers=headers, timeout=5).status_code == 200


def command(environment: dict[str, str], *words: Any) -> Any:
    """What `tailorbird … --json` prints."""
    ran = subprocess.run(
        [BIN / "tailorbird", *map(str, words), "--json"], env=environment, capture_output=True, text=True, cwd="/"
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


class Prometheus(Process):
    """With the rules of k8s/, whose waits are cut to seconds."""

    def __init__(self, folder: Path, targets: list[int]) -> None:
        groups = yaml.safe_load((ROOT / "k8s" / "prometheus" / "rules.yaml").read_text())["spec"]["groups"]
        for group in groups:
            group["interval"] = "1s"
            for rule in group["rules"]:
                if "alert" in rule:
                    rule["for"] = "1s"
        (folder / "rules.yml").write_text(json.dumps({"groups": groups}))
        scraped = [{"targets": [f"127.0.0.1:{port}" for port in targets]}]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "tailorbird", "static_configs": scraped}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        words = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'series'}"]
        words.append(f"--web.listen-address=127.0.0.1:{port}")
        super().__init__(folder / "prometheus.log", ["prometheus", *words], dict(os.environ))

    def value(self, query: str) -> float:
        """Of a query that has one; raises ValueError where it has none yet."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}).json()
        (series,) = answer["data"]["result"]
        return float(series["value"][1])

    def firing(self) -> set[str]:
        alerts = httpx.get(f"{self.url}/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
