import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from training import datasets, splits
from training.config import DataConfig, Objective, RunConfig
from training.datasets.dataset import Dataset
from training.lanes import Lanes
from tuning import groups, lane_table
from tuning.lane_table import FILE, LaneTable

DATA = DataConfig(name="digits", validation=0.2, holdout=0.2)


@pytest.fixture(scope="module")
def dealt():
    return splits.split(datasets.load(DATA, None, None), DATA)


GAINS = {16: {2: 1.5, 4: 1.9, 8: 2.2}, 32: {2: 0.9, 4: 0.8, 8: 0.5}, 64: {2: 1.35, 4: 1.38, 8: 1.4}}
"""By the width of networks: the groups to take are of 8, 1 and 2."""


@pytest.fixture
def measured(monkeypatch):
    """The widths of the networks that were measured, which gives GAINS."""
    widths = []

    def measure(config, *_):
        widths.append(config.model.width)
        return GAINS[config.model.width]

    monkeypatch.setattr(lane_table, "_measured", measure)
    return widths


def configs(*widths, **changes):
    model = {"family": "mlp", "depth": 1}
    return [
        RunConfig.model_validate({"data": DATA, "model": {**model, "width": width}, "precision": "fp32", **changes})
        for width in widths
    ]


def test_a_shape_is_measured_once_and_told(tmp_path, dealt, measured):
    sentence = LaneTable(tmp_path).measure(configs(16, 16, 32, 32), 8, dealt)
    speeds = "groups of 1 to 8 train 1.0 to 2.2 times as fast as one trial after the other"
    assert sentence == f"lanes: {speeds} (2 shapes, measured just now)"
    sentence = LaneTable(tmp_path).measure(configs(16, 16), 8, dealt)
    assert sentence == (
        f"lanes: groups of 8 train 2.2 times as fast as one trial after the other (1 shape, by {tmp_path / FILE})"
    )
    assert measured == [16, 32]


def test_groups_are_the_smallest_that_are_about_as_quick_as_any(tmp_path, dealt, measured):
    chosen = configs(*[16, 32, 64] * 5)
    LaneTable(tmp_path).measure(chosen, 8, dealt)
    rows = [config.model_dump(mode="json") for config in chosen]
    numbers = groups.grouped(rows, 8, 1, LaneTable(tmp_path).sizes(8))
    sizes = [sorted(Counter(numbers[width::3]).values()) for width in range(3)]
    assert sizes == [[5], [1] * 5, [1, 2, 2]]
    assert groups.grouped(rows, 8, 1, LaneTable(tmp_path).sizes(64)) == groups.grouped(rows, 8, 1) == [1, 2, 3] * 5


def test_what_is_alone_or_never_stacked_is_not_measured(tmp_path, dealt, measured):
    table = LaneTable(tmp_path)
    compiled = [config.model_copy(update={"compile": True}) for config in configs(16, 16)]
    assert table.measure(configs(16, 32) + compiled, 8, dealt) is None
    assert table.measure(configs(16, 16), 1, dealt) is None
    assert measured == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("cpu", "clock", "count"), [(1, 6, 3), (6, 6, 1), (1, 25, 1)])
def test_shapes_are_measured_for_some_cpu_seconds(tmp_path, dealt, measured, monkeypatch, cpu, clock, count):
    """Each shape takes so many seconds; `count` of three are measured."""
    watch = SimpleNamespace(thread_time=lambda: cpu * len(measured), monotonic=lambda: 1_000 + clock * len(measured))
    monkeypatch.setattr(lane_table, "time", watch)
    LaneTable(tmp_path).measure(configs(*[16, 32, 64] * 2), 8, dealt)
    assert len(measured) == count


@pytest.mark.parametrize("damage", ["{", '{"a": 1}', "{}"])
def test_a_table_that_is_damaged_or_of_another_processor_is_measured_anew(
    tmp_path, dealt, measured, monkeypatch, damage
):
    LaneTable(tmp_path).measure(configs(16, 16), 8, dealt)
    (tmp_path / FILE).write_text(damage)
    LaneTable(tmp_path).measure(configs(16, 16), 8, dealt)
    monkeypatch.setattr(lane_table, "processor", lambda: "another")
    LaneTable(tmp_path).measure(configs(16, 16), 8, dealt)
    monkeypatch.undo()
    assert measured == [16, 16, 16]
    assert LaneTable(tmp_path).sizes(8)  # of which nothing was lost by the other


def test_a_table_that_cannot_be_kept_is_of_use_now(tmp_path, dealt, measured):
    (tmp_path / "file").write_text("")
    table = LaneTable(tmp_path / "file")
    assert table.measure(configs(32, 32), 8, dealt)
    assert list(table.sizes(8).values()) == [1]


def test_lanes_of_small_networks_gain(tmp_path, dealt):
    table = LaneTable(tmp_path)
    assert "measured just now" in table.measure(configs(16, 16, batch_size=4), 6, dealt)
    (size,) = table.sizes(6).values()
    assert size in (2, 4, 6)


@pytest.mark.long
@pytest.mark.parametrize("width", [[128], [256, 128], [512, 256]])
def test_the_chosen_size_is_at_most_a_tenth_slower_than_the_best(tmp_path, width, monkeypatch):
    """CPU seconds of a step of a lane: in groups as chosen, alone, and in groups as large as allowed."""
    monkeypatch.setattr(lane_table, "MOST_SECONDS", 300.0)
    pixels = np.random.default_rng(0).integers(0, 256, (1_000, 28, 28), np.uint8)
    images = Dataset("noise", tuple("abcdefghij"), pixels, np.arange(1_000) % 10, None)
    sized = splits.split(images, DataConfig(name="digits", validation=100, holdout=0, test=1))
    raw = {
        "data": DATA,
        "model": {"family": "mlp", "width": width, "dropout": 0.2},
        "precision": "fp32",
        "batch_size": 64,
        "epochs": 7,
    }
    several = [RunConfig.model_validate(raw) for _ in range(8)]
    rows = [config.model_dump(mode="json") for config in several]
    table = LaneTable(tmp_path)
    table.measure(several, 8, sized)
    chosen = Counter(groups.grouped(rows, 8, 1, table.sizes(8)))[1]
    lanes = {count: Lanes(several[:count], sized, Objective()) for count in {1, chosen, 8}}
    seconds = {count: [] for count in lanes}
    for _ in range(6):  # in turn, so that other work on the machine slows all of them
        for count, group in lanes.items():
            started = time.process_time()
            group.step()
            seconds[count].append((time.process_time() - started) / count)
    least = {count: min(times) for count, times in seconds.items()}
    assert least[chosen] <= 1.1 * min(least.values()), (chosen, least)


def test_what_is_not_trained_as_one_has_no_gain(tmp_path, dealt):
    table = LaneTable(tmp_path)
    assert table.measure(configs(16, 16, loss={"label_smoothing": 0.1}), 8, dealt) is None
    assert table.sizes(8) == {}
