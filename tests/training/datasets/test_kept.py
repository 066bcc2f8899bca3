import json
import multiprocessing
import os
import shutil

import numpy as np
import pytest

from tailorbird.errors import InvalidInput, Unavailable
from tests.waiting import BOUND_SECONDS
from training.datasets import kept
from training.datasets.mapped import Mapped, opened


def made(rows=5, seen=None, test=False):
    """Makes a small set; `seen` counts how often."""

    def make(into):
        if seen is not None:
            seen.append(into)
        parts = {"train": np.arange(rows) % 2, **({"test": np.array([1])} if test else {})}
        for part, targets in parts.items():
            file = kept.RowWriter(into / kept.INPUTS[part], len(targets), (2, 3))
            for row in reversed(range(len(targets))):
                file.write(row, np.full((2, 3), row % 256, np.uint8))
            file.close()
        kept.finish(into, ["a", "b"], parts, ["a note"])

    return make


def test_it_is_made_once_and_mapped(tmp_path):
    seen = []
    for _ in range(2):
        dataset = kept.load(tmp_path, ["source"], "set", made(seen=seen, test=True))
        assert isinstance(dataset.inputs, Mapped) and dataset.inputs.shape == (5, 2, 3)
        assert dataset.inputs[:, 0, 0].tolist() == [0, 1, 2, 3, 4] and dataset.targets.tolist() == [0, 1, 0, 1, 0]
        assert (dataset.name, dataset.kind, dataset.notes, dataset.classes) == (
            "set",
            "binary",
            ("a note",),
            ("a", "b"),
        )
        assert dataset.test[0].shape == (1, 2, 3) and dataset.test[1].tolist() == [1]
    assert len(seen) == 1
    assert kept.load(tmp_path, ["another"], "set", made(seen=seen)).test is None
    assert len(seen) == 2


def test_what_fails_leaves_nothing_and_works_next_time(tmp_path):
    def fails(into):
        made()(into)
        raise InvalidInput("images", "are none")

    with pytest.raises(InvalidInput):
        kept.load(tmp_path, "source", "set", fails)
    assert [path.suffix for path in (tmp_path / "datasets").iterdir()] == [".locked"]
    assert len(kept.load(tmp_path, "source", "set", made()).inputs) == 5


def test_what_a_killed_process_left_is_made_again(tmp_path):
    kept.load(tmp_path, "source", "set", made())
    (folder,) = (path for path in (tmp_path / "datasets").iterdir() if not path.suffix)
    left = folder.rename(folder.with_name(f".{folder.name}-abcdef"))
    (left / kept.INDEX).unlink()
    assert len(kept.load(tmp_path, "source", "set", made()).inputs) == 5
    assert not left.exists()


@pytest.mark.parametrize("name", [kept.INDEX, kept.INPUTS["train"], kept.TARGETS["train"]])
def test_what_lost_a_file_is_made_again(tmp_path, name):
    kept.load(tmp_path, "source", "set", made())
    (result,) = (tmp_path / "datasets").rglob(name)
    result.unlink()
    assert len(kept.load(tmp_path, "source", "set", made()).inputs) == 5


def _load(folder, counter, results):
    seen = []
    dataset = kept.load(folder, "source", "set", made(3000, seen))
    with counter.get_lock():
        counter.value += len(seen)
    results.put(int(dataset.inputs[2999, 0, 0]))


def test_of_several_processes_at_once_one_makes_it(tmp_path):
    context = multiprocessing.get_context("fork")
    counter, results = context.Value("i", 0), context.Queue()
    processes = [context.Process(target=_load, args=(tmp_path, counter, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=BOUND_SECONDS) for _ in processes] == [2999 % 256] * 4
    for process in processes:
        process.join()
    assert counter.value == 1


def test_a_folder_that_cannot_be_written_is_told_with_its_setting(tmp_path):
    (tmp_path / "datasets").write_text("a file, where a folder should be")
    with pytest.raises(
        Unavailable, match=r"cannot be written: .*set the folder of decoded images by TAILORBIRD_CACHE_DIR"
    ):
        kept.load(tmp_path, "source", "set", made())


def test_too_little_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**10, 10**10, 140_000_000))
    assert len(kept.load(tmp_path, "small", "set", made()).inputs) == 5
    with pytest.raises(
        Unavailable, match=r"0.02 GB of decoded images do not fit .* 0.14 GB free; set TAILORBIRD_CACHE_DIR .*data.size"
    ):
        kept.RowWriter(tmp_path / "x.npy", 20_000_000 // 6, (2, 3))
    assert not (tmp_path / "x.npy").exists()


def test_rows_may_be_written_in_any_order_and_several_at_once(tmp_path):
    rows = kept.RowWriter(tmp_path / "x.npy", 6, (2, 2, 3))
    expected = np.arange(72, dtype=np.uint8).reshape(6, 2, 2, 3)
    for places in ([5], [0], slice(1, 5)):
        start = places.start if isinstance(places, slice) else places[0]
        rows.write(start, expected[places])
    rows.close()
    assert (np.load(tmp_path / "x.npy") == expected).all()


def test_what_the_system_writes_in_pieces_is_whole(tmp_path, monkeypatch):
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, place: write(file, data[:5], place))
    rows = kept.RowWriter(tmp_path / "x.npy", 2, (2, 2, 3))
    expected = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    rows.write(0, expected)
    rows.close()
    assert (np.load(tmp_path / "x.npy") == expected).all()


def test_a_disk_that_is_full_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(Unavailable, match=r"cannot be written: No space left on device; set .* TAILORBIRD_CACHE_DIR"):
        kept.load(tmp_path, "source", "set", made())


@pytest.mark.parametrize("taken", [[], [0], [4], [1, 3], [0, 1, 2, 3]])
def test_rows_are_taken_out(tmp_path, taken):
    made(5)(tmp_path)
    kept.without(tmp_path / "train.npy", taken, (2, 3))
    left = [row for row in range(5) if row not in taken]
    assert opened(tmp_path / "train.npy")[:, 0, 0].tolist() == left
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "train.npy", "train_targets.npy"]


def test_more_classes_than_two_are_not_binary(tmp_path):
    kept.finish(tmp_path, ["a", "b", "c"], {"train": np.array([0, 1, 2])}, [])
    assert json.loads((tmp_path / kept.INDEX).read_text())["kind"] == "multiclass"
