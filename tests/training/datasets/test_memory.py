"""Data sets that are larger than the memory: the same code, and memory that does not grow with them."""

import json
import shutil
import subprocess
import sys
import tempfile

import pytest

# a process of its own: prints how much anonymous memory each step took at its most, in MB, above what imports took
PROGRAM = """
import json, pickle, sys, threading, time
from functools import partial
from pathlib import Path
import numpy as np
from training import config, splits
from training.datasets import kept
from training.loop import Run
import torch._dynamo  # which the optimiser would import

SHAPE = (32, 32, 3)

def anonymous():
    text = Path("/proc/self/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0]) / 1024

def make(rows, into):
    file = kept.RowWriter(into / "train.npy", rows, SHAPE)
    random = np.random.default_rng(0)
    for start in range(0, rows, 512):
        file.write(start, random.integers(0, 256, (min(512, rows - start), *SHAPE), np.uint8))
    file.close()
    kept.finish(into, ["a", "b", "c"], {"train": np.arange(rows) % 3}, [])

def steps(folder, rows):
    dataset = kept.load(folder, rows, "made", partial(make, rows))
    yield "made", None
    yield "digest", len(dataset.digest())
    run = {"data": {"name": "digits"}, "model": {"family": "linear"}, "batch_size": 256, "epochs": 1, "threads": 1}
    checked = config.parse(config.RunConfig, run)
    dealt = splits.split(dataset, checked.data)
    yield "split", [len(part) for part in (dealt.train, dealt.validation, dealt.holdout, dealt.test)]
    sent = pickle.dumps(dealt)
    assert pickle.loads(sent).train.inputs.shape == dataset.inputs.shape
    yield "sent", len(sent) / rows
    (epoch,) = Run(checked, dealt)  # all of it, in random order
    yield "epoch", epoch.train_loss

def main(folder, rows):
    most, ended = [0], threading.Event()
    def watch():
        while not ended.wait(0.01):
            most[0] = max(most[0], anonymous())
    threading.Thread(target=watch, daemon=True).start()
    before, measures = anonymous(), {}
    for name, value in steps(Path(folder), rows):
        measures[name] = {"value": value, "MB": max(most[0], anonymous()) - before}
        most[0] = 0
    ended.set()
    print(json.dumps({"before": before, "steps": measures}))

main(sys.argv[1], int(sys.argv[2]))
"""
ROW = 32 * 32 * 3


def measured(folder, size):
    rows = size // ROW
    made = subprocess.run([sys.executable, "-c", PROGRAM, str(folder), str(rows)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    record = json.loads(made.stdout)
    assert sum(record["steps"]["split"]["value"]) == rows
    assert record["steps"]["sent"]["value"] < 60  # places, targets and ids of an example, and none of its pixels
    return record


def test_anonymous_memory_does_not_grow_with_the_data(tmp_path):
    memory = measured(tmp_path, 200_000_000)
    assert max(step["MB"] for step in memory["steps"].values()) < 150


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_gigabytes_are_read_within_two():
    with tempfile.TemporaryDirectory() as folder:
        if shutil.disk_usage(folder).free < 15e9:
            pytest.skip("needs 15 GB of free disk for a made data set of 10 GB")
        memory = measured(folder, 10_000_000_000)
    assert memory["before"] + max(step["MB"] for step in memory["steps"].values()) < 2000
