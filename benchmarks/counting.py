"""The cost of counters and the ring of last answers per request with one example: CPU-microseconds, as JSON.

    python -m benchmarks.counting HOME REQUESTS

Part of `benchmarks.drift`, in a process of its own, since the metrics library reads PROMETHEUS_MULTIPROC_DIR at its
import: values are in files, as with several workers.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from registry import versions
from registry.core import Registry
from registry.names import Reference
from serving.metrics import Metrics, VersionMetrics
from serving.recent import Recent
from tailorbird import bins
from tailorbird.settings import Settings

MODEL, CLASSES, ROUNDS = "bench", tuple(map(str, range(10))), 7


def main() -> None:
    home, requests = sys.argv[1:]
    with Registry(Settings(_env_file=None, home=Path(home))) as registry:
        version = versions.resolve(registry, Reference(MODEL))
    metrics, recent = VersionMetrics(Metrics(), version, CLASSES), Recent(len(CLASSES))
    answer = np.full((1, len(CLASSES)), 0.1, np.float32)
    cells = np.random.default_rng(0).integers((len(CLASSES), len(bins.LABELS)), size=(int(requests), 2)).tolist()
    added = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for index, bin_index in cells:
            recent.add(answer)
            metrics.predicted({(index, bin_index): 1})
        added.append(1e6 * (time.process_time() - started) / len(cells))
    print(json.dumps(added[1:]))  # the first makes the series


if __name__ == "__main__":
    main()
