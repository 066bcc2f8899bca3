"""Clients that ask a server again and again, over connections that they keep, and note what came of it."""

import http.client
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BODY = json.dumps({"inputs": [[[7] * 28] * 28]}).encode()
HEADERS = {"Content-Type": "application/json"}


@dataclass
class Load:
    """`answers` counts (status, version); `lost` are requests that got none, but for those that were never taken.

    `latest` is the version that each client was answered by last. Between an answer and its next request a client
    pauses for `pause` seconds, so that a server that is waited for has the processor to itself meanwhile.
    """

    url: str
    clients: int = 4
    pause: float = 0
    answers: Counter = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    latest: dict[int, int] = field(default_factory=dict)

    def __post_init__(self):
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask, args=(client,), daemon=True) for client in range(self.clients)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        return self.answers.total()

    def _ask(self, client: int):
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        while not self._over.is_set():
            try:
                connection.connect() if connection.sock is None else None
            except OSError:  # nothing was sent, so nothing is lost
                connection.close()
                with self._lock:
                    self.refused += 1
                self._over.wait(0.01)
                continue
            try:
                phase = "sending"
                connection.request("POST", "/predict", BODY, HEADERS)
                phase = "waiting"
                response = connection.getresponse()
                content = json.loads(response.read())
                with self._lock:
                    self.answers[response.status, content.get("version")] += 1
                    self.latest[client] = content.get("version")
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    self.lost.append(f"{phase}: {error!r}")
            self._over.wait(self.pause)
        connection.close()
