import subprocess
import sys

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from tests.waiting import BOUND_SECONDS

COUNT = """
import os, signal, threading
from prometheus_client import CollectorRegistry
from serving.counting import Counter, Histogram

registry = CollectorRegistry()
counter = Counter("cells_total", "x", ["cell"], registry=registry)
histogram = Histogram("seconds", "x", ["route"], buckets=(0.1, 1), registry=registry)
early = counter.labels("early")
early.inc()
for cell in range(2_000):  # the file grows
    counter.labels(cell).inc(2)
early.inc(3)
for seconds in (0.0, 0.1, 0.5, 2.0):
    histogram.labels("a").observe(seconds)
threads = [threading.Thread(target=lambda: [early.inc() for _ in range(20_000)]) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(registry.get_sample_value("cells_total", {"cell": "early"}), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_other_processes_read_every_increment_also_of_one_that_was_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, timeout=BOUND_SECONDS)
    assert done.stdout == "80004.0\n", done.stderr
    everyone = CollectorRegistry()
    MultiProcessCollector(everyone)
    samples = [sample for metric in everyone.collect() for sample in metric.samples]
    cells = {sample.labels["cell"]: sample.value for sample in samples if sample.name == "cells_total"}
    assert cells == {str(cell): 2 for cell in range(2_000)} | {"early": 80_004}
    buckets = {sample.labels["le"]: sample.value for sample in samples if sample.name == "seconds_bucket"}
    assert buckets == {"0.1": 2, "1.0": 3, "+Inf": 4}
    assert [sample.value for sample in samples if sample.name == "seconds_sum"] == [2.6]
