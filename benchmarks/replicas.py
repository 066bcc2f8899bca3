"""What several replicas count beside one server, and what counting adds to a request: part of `benchmarks.drift`."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.counting import MODEL
from registry import aliases, feedback, versions
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.drill import endpoint
from tailorbird.package.lineage import Lineage
from tailorbird.settings import Settings
from training.candidate import Candidate

WHO = "a benchmark"
BATCH = 20
COUNTERS = ("tailorbird_predictions_total", "tailorbird_feedback_total")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Replica:
    """A server, and what its scrapes counted until now; it begins again at 0 whenever it is restarted."""

    def __init__(self, own: Settings) -> None:
        self._own = own
        self.counted: Counter[tuple[str, ...]] = Counter()
        self.start()

    def start(self) -> None:
        self._running = ExitStack()
        self.endpoint = self._running.enter_context(endpoint.serving(self._own, MODEL))

    def stop(self) -> None:
        """Scrape it a last time, and end it."""
        with DIRECT.open(f"{self.endpoint.url}/metrics", timeout=30) as answer:
            families = [*text_string_to_metric_families(answer.read().decode())]
        for sample in (sample for family in families for sample in family.samples if sample.name in COUNTERS):
            self.counted[sample.name, *sorted(sample.labels.values())] += int(sample.value)
        self._running.close()


def of_replicas(
    candidate: Candidate, images: NDArray[np.uint8], truth: list[str], count: int
) -> dict[str, list[float]]:
    """Figure 5: `count` replicas that restart in turn, with labels repeated elsewhere and late, against one server.

    All answer the images [N, ...], whose labels are `truth`.
    """
    with tempfile.TemporaryDirectory() as folder:
        homes = [Settings(_env_file=None, home=Path(folder) / name) for name in ("one", "several")]
        for own in homes:
            own.home.mkdir()
            _register(own, candidate)
        (rows, counted), (more_rows, more_counted) = (
            _replay(own, images, truth, replicas) for own, replicas in zip(homes, (1, count), strict=True)
        )
        added = _added(homes[0], len(truth))
    return {
        f"rows of feedback in which {count} replicas differ from one server": [float(_difference(rows, more_rows))],
        f"counts in which {count} replicas differ from one server": [float(_difference(counted, more_counted))],
        "added to a request by counters and ring": added,
    }


def _register(own: Settings, candidate: Candidate) -> None:
    with Registry(own) as registry:
        versions.register(registry, MODEL, candidate.files, candidate.export, Lineage(), WHO)
        aliases.promote(registry, Promotion(MODEL, 1, why="a benchmark", who=WHO, force=True))


def _replay(
    own: Settings, images: NDArray[np.uint8], truth: list[str], count: int
) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """Rows of feedback and counts, by their labels; of several servers each restarts, and half of the labels wait."""
    replicas = [Replica(own) for _ in range(count)]
    late: list[tuple[str, str]] = []
    starts = range(0, len(truth), BATCH)
    for number, start in enumerate(starts):
        batch = slice(start, start + BATCH)
        _, predictions = replicas[number % count].endpoint.predict(images[batch].tobytes())
        labels = list(zip((row["receipt"] for row in predictions), truth[batch], strict=True))
        if count > 1 and number % 2:
            late += labels
        else:
            _label(replicas, number, labels)
        if count > 1 and (number + 1) % (len(starts) // count) == 0:
            restarted = replicas[(number + 1) // (len(starts) // count) - 1]
            restarted.stop()
            restarted.start()
    for start in range(0, len(late), BATCH):
        _label(replicas, 0, late[start : start + BATCH])
    for replica in replicas:
        replica.stop()
    with Registry(own) as registry:
        rows = feedback.cells(registry, MODEL, 1)
    cells = Counter({(row.predicted, row.confidence_bin, "rows"): row.count for row in rows})
    cells += Counter({(row.predicted, row.confidence_bin, "correct"): row.correct for row in rows})
    return cells, sum((replica.counted for replica in replicas), Counter())


def _label(replicas: list[Replica], number: int, labels: list[tuple[str, str]]) -> None:
    """Send labels to every replica in turn: the first counts them, for the others they are repeated."""
    for position in range(len(replicas)):
        replicas[(number + position) % len(replicas)].endpoint.label(labels)


def _difference(first: Counter[tuple[str, ...]], other: Counter[tuple[str, ...]]) -> int:
    return sum(abs(first[key] - other[key]) for key in first | other)


def _added(own: Settings, requests: int) -> list[float]:
    """CPU-microseconds a request of one example."""
    command = [sys.executable, "-m", "benchmarks.counting", str(own.home), str(requests)]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": folder}
        output = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    added: list[float] = json.loads(output)
    return added
