"""What Prometheus is told equals what clients counted themselves, errors included, whatever happened meanwhile."""

import json
import re
import threading
from collections import Counter

import httpx
import pytest

from tailorbird.settings import Settings
from tests.faults.serving.load import BODY, HEADERS
from tests.faults.serving.test_swaps import served, swap, wait_for, workers

WRONG = json.dumps({"inputs": [[1]]}).encode()


@pytest.fixture
def own(tmp_path, register, toy) -> Settings:
    settings = Settings(_env_file=None, home=tmp_path / "home")
    register(settings, "demo", toy.files())
    register(settings, "demo", toy.files(), alias=None)
    return settings


def told(server, name, *by) -> Counter:
    """The sums of a metric by some of its labels."""
    counts: Counter = Counter()
    for line in server.client.get("/metrics").text.splitlines():
        if match := re.fullmatch(rf"tailorbird_{name}{{(.*)}} (\S+)", line):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', match[1]))
            counts[tuple(labels[label] for label in by)] += int(float(match[2]))
    return counts


def ask(server, requests, clients) -> tuple[Counter, Counter]:
    """Every client's count of statuses, and of predictions by version and class."""
    statuses, predictions = [], []

    def run():
        mine, predicted = Counter(), Counter()
        with httpx.Client(base_url=server.url, timeout=30) as client:
            for turn in range(requests // clients):
                body = WRONG if turn % 10 == 0 else BODY
                response = client.post("/predict", content=body, headers=HEADERS)
                mine[str(response.status_code)] += 1
                if response.status_code == 200:
                    content = response.json()
                    predicted[str(content["version"]), content["predictions"][0]["label"]] += 1
        statuses.append(mine)
        predictions.append(predicted)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(statuses, Counter()), sum(predictions, Counter())


def check(start, own, requests, processes):
    server = start(own, workers=processes).wait()
    first = ask(server, requests // 2, 3)
    swap(own, 2)
    wait_for(lambda: served(server) == {2})
    if processes > 1:
        workers(server)[0].kill()  # between requests, so that each of them has its answer
        wait_for(lambda: len(workers(server)) == processes)
    second = ask(server, requests // 2, 3)
    statuses, predictions = first[0] + second[0], first[1] + second[1]
    counted = told(server, "request_duration_seconds_count", "route", "code")
    assert {code: count for (route, code), count in counted.items() if route == "/predict"} == statuses
    assert told(server, "predictions_total", "version", "predicted_class") == predictions
    assert sum(told(server, "inference_duration_seconds_count", "version").values()) == statuses["200"]
    assert told(server, "swaps_total", "outcome") == {("swapped",): 1}
    info = told(server, "model_info", "version")
    assert (info["1",], info["2",]) == (0, 1)
    assert server.stop() == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_metrics_are_what_clients_counted(start, own, processes):
    check(start, own, 600, processes)


@pytest.mark.long
def test_after_ten_thousand_requests(start, own):
    check(start, own, 10_000, 2)
