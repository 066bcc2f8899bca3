"""What Prometheus is told equals what clients counted themselves, errors included, whatever happened meanwhile."""

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from tailorbird.settings import Settings
from tests.faults.serving.load import BODY, HEADERS
from tests.faults.serving.test_swaps import all_serve, in_files, served, swap, workers
from tests.waiting import wait_for

WRONG = json.dumps({"inputs": [[1]]}).encode()
LARGE = bytes(28 * 28 * 10_000)
"""More than can be answered within the time that a request may take here."""


@pytest.fixture
def own(tmp_path, register, toy) -> Settings:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files())
    register(settings, "demo", toy.files(), alias=None)
    return settings


def sums(server, name, *by) -> Counter:
    """The sums of a metric by some of its labels."""
    counts: Counter = Counter()
    for line in server.client.get("/metrics").text.splitlines():
        if match := re.fullmatch(rf"tailorbird_{name}{{(.*)}} (\S+)", line):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', match[1]))
            counts[tuple(labels[label] for label in by)] += int(float(match[2]))
    return counts


@dataclass
class Counts:
    """What clients counted: answers by status, and predictions by version and class."""

    statuses: Counter = field(default_factory=Counter)
    predictions: Counter = field(default_factory=Counter)

    def ask(self, server, requests, clients, large=False):
        """Some requests by some clients at once, a tenth of them wrong, or all too large to be answered in time."""

        def run():
            with httpx.Client(base_url=server.url, timeout=30) as client:
                for turn in range(requests // clients):
                    body = LARGE if large else WRONG if turn % 10 == 0 else BODY
                    headers = {"Content-Type": "application/octet-stream"} if large else HEADERS
                    answers.append(client.post("/predict", content=body, headers=headers))

        answers: list[httpx.Response] = []
        with ThreadPoolExecutor(clients) as pool:
            for future in [pool.submit(run) for _ in range(clients)]:
                future.result()
        for answer in answers:
            self.statuses[str(answer.status_code)] += 1
            if answer.is_success:
                content = answer.json()
                labels = ((str(content["version"]), prediction["label"]) for prediction in content["predictions"])
                self.predictions.update(labels)


def check(start, own, requests, processes):
    server = start(own, workers=processes, TAILORBIRD_REQUEST_SECONDS="0.005").wait()
    counts = Counts()
    counts.ask(server, requests // 2, 3)
    swap(own, 2)
    wait_for(lambda: served(server) == {2})
    wait_for(lambda: all_serve(server, 2, processes))
    assert {info.get("1", 0) for info in in_files(server).values()} == {0}
    counts.ask(server, 32, 8, large=True)
    shed = counts.statuses["503"]
    assert shed
    victim = workers(server)[0]
    victim.kill()  # between requests, so that each of them has its answer
    victim.wait()
    counts.ask(server, 30, 3)  # while no worker is alive, where there was one
    wait_for(lambda: served(server) == {2} and len(workers(server)) == processes)
    counts.ask(server, requests // 2, 3)
    check_metrics(server, counts, shed)
    assert server.stop() == 0


def check_metrics(server, counts, shed):
    counted = sums(server, "request_duration_seconds_count", "route", "code")
    assert {code: count for (route, code), count in counted.items() if route == "/predict"} == counts.statuses
    assert sums(server, "predictions_total", "version", "predicted_class") == counts.predictions
    assert sum(sums(server, "inference_duration_seconds_count", "version").values()) >= counts.statuses["200"]
    by_reason = sums(server, "shed_total", "reason")
    assert by_reason["deadline",] + by_reason["queue",] == shed
    assert sum(by_reason.values()) == sum(count for (_, code), count in counted.items() if code == "503")
    assert sums(server, "swaps_total", "outcome") == Counter({("swapped",): 1})
    info = sums(server, "model_info", "version")
    assert (info["1",], info["2",]) == (0, 1)


def test_metrics_are_what_clients_counted(start, own):
    check(start, own, 600, processes=2)


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_after_ten_thousand_requests(start, own, processes):
    check(start, own, 10_000, processes)
