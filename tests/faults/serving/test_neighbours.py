"""What bad and slow clients do to a server leaves its other clients alone."""

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from socket import create_connection
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from tests.faults.serving.load import BODY, HEADERS
from tests.faults.serving.test_inputs import HEAD, IMAGES, servers  # noqa: F401
from tests.waiting import BOUND_SECONDS, wait_for

PAUSE_SECONDS = 0.02
"""Between two requests of a bad client."""
ROUNDS, REQUESTS = 7, 500


def attack(url, active, over, sent, wrong):
    """Ask wrongly while it is active, and until it is over; count that, and tell what was not answered rightly."""
    with httpx.Client(base_url=url, timeout=BOUND_SECONDS) as client:
        for name, (media_type, body, status) in cycle(IMAGES.items()):
            active.wait()
            if over.wait(PAUSE_SECONDS):
                return
            headers = {"Content-Type": media_type} if media_type else {}
            if client.post("/predict", content=body, headers=headers).status_code != status:
                wrong.put(name)
            with sent.get_lock():
                sent.value += 1


class Attackers:
    """Two processes that ask wrongly, and, while they do, fifty clients who send a head, and then nothing."""

    def __init__(self, url):
        spawning = multiprocessing.get_context("spawn")
        self.url, self.sent, self.wrong = url, spawning.Value("q", 0), spawning.SimpleQueue()
        self._active, self._over = spawning.Event(), spawning.Event()
        arguments = (url, self._active, self._over, self.sent, self.wrong)
        self._processes = [spawning.Process(target=attack, args=arguments) for _ in range(2)]

    def __enter__(self) -> "Attackers":
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._active.set()
        for process in self._processes:
            process.join()

    @contextmanager
    def active(self) -> Iterator[None]:
        address = urlsplit(self.url)
        with ExitStack() as stack:
            for _ in range(50):
                slow = stack.enter_context(create_connection((address.hostname, address.port)))
                slow.sendall(HEAD + b"Content-Length: 5000\r\n\r\n{")
            self._active.set()
            wait_for(lambda before=self.sent.value: self.sent.value > before + 2)
            yield
            self._active.clear()


def p99(server) -> float:
    """The seconds that 99% of some good requests are answered within."""
    seconds = []
    with httpx.Client(base_url=server.url, timeout=BOUND_SECONDS) as client:
        for _ in range(REQUESTS):
            asked = time.perf_counter()
            assert client.post("/predict", content=BODY, headers=HEADERS).status_code == 200
            seconds.append(time.perf_counter() - asked)
    return float(np.quantile(seconds, 0.99))


@pytest.mark.long
def test_bad_and_slow_clients_leave_the_others_alone(servers):  # noqa: F811
    """Their p99 is compared in turn with that of a server that is left alone, so that both see the same machine."""
    server = servers["demo"]
    alone, beside = [], []
    with Attackers(server.url) as attackers:
        for _ in range(ROUNDS):
            alone.append(p99(server))
            with attackers.active():
                beside.append(p99(server))
    ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
    print(f"p99 {alone} alone, {beside} beside {attackers.sent.value} bad requests: {ratio:.2f}")
    assert attackers.sent.value > len(IMAGES) and attackers.wrong.empty()
    assert ratio < 3
