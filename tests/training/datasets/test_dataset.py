from dataclasses import replace

import numpy as np
import pytest

from training.datasets import Dataset
from training.datasets import dataset as module


def test_the_digest_tells_any_change_of_pixels_labels_and_order(blobs):
    def pixel(data):
        data.inputs[3, 2, 1] ^= 1

    def label(data):
        data.targets[5] = 0

    def order(data):
        data.inputs[:2] = data.inputs[1::-1].copy()
        data.targets[:2] = data.targets[1::-1].copy()

    digests = {blobs().digest()}
    for change in (pixel, label, order):
        dataset = blobs()
        change(dataset)
        digests.add(dataset.digest())
    dataset = blobs()
    digests.add(replace(dataset, test=(dataset.inputs[:1], dataset.targets[:1])).digest())
    digests.add(replace(dataset, validation=(dataset.inputs[:1], dataset.targets[:1])).digest())
    digests.add(replace(dataset, classes=("q", *dataset.classes[1:])).digest())
    digests.add(replace(dataset, columns=("x", "y")).digest())
    assert len(digests) == 8
    assert replace(dataset, inputs=np.asfortranarray(dataset.inputs)).digest() == dataset.digest()


def test_a_record_counts_what_is_there(blobs):
    dataset = blobs(images=10, classes=3)
    test, validation = ((dataset.inputs[:count], dataset.targets[:count]) for count in (4, 2))
    made = replace(dataset, test=test, validation=validation).record()
    assert made["shape"] == [8, 8] and made["dtype"] == "uint8"
    assert (made["train"], made["validation"], made["test"]) == (10, 2, 4)
    assert made["counts"] == {
        "class 0": {"train": 4, "validation": 1, "test": 2},
        "class 1": {"train": 3, "validation": 1, "test": 1},
        "class 2": {"train": 3, "validation": 0, "test": 1},
    }
    assert dataset.record()["test"] == dataset.record()["validation"] == 0


def test_a_large_array_is_digested_as_one_and_never_held_whole(blobs, monkeypatch):
    dataset = blobs(images=30)
    whole = dataset.digest()
    monkeypatch.setattr(module, "BLOCK_BYTES", 7 * 64)
    sizes = [len(block) for block in module.blocks(dataset.inputs)]
    assert sizes == [7, 7, 7, 7, 2]
    assert dataset.digest() == whole


def test_blocks_of_what_is_empty_or_wider_than_a_block(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 10)
    assert [len(block) for block in module.blocks(np.zeros((3, 100), np.uint8))] == [1, 1, 1]
    assert list(module.blocks(np.zeros((0, 5), np.uint8))) == []
    assert [len(block) for block in module.blocks(np.zeros((2, 0), np.uint8))] == [2]


def test_labels_are_counted_each_by_itself():
    targets = np.array([[1, 0, 1], [1, 0, 0]], np.float32)
    made = Dataset("m", ("a", "b", "c"), np.zeros((2, 1), np.float32), targets, None, "multilabel", ("x",))
    message = made.record()
    assert (message["kind"], message["columns"]) == ("multilabel", ["x"])
    assert {name: count["train"] for name, count in message["counts"].items()} == {"a": 2, "b": 0, "c": 1}


def test_numbers_are_described_by_their_spread():
    values = np.array([1, 2, 6], np.float32)
    made = Dataset("r", ("price",), np.zeros((3, 1), np.float32), values, None, "regression", ("x",))
    message = made.record()
    assert "counts" not in message and message["values"].keys() == {"train"}
    expected = {"mean": 3, "deviation": (14 / 3) ** 0.5, "least": 1, "most": 6}
    assert message["values"]["train"] == pytest.approx(expected)
