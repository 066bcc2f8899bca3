"""What tuning takes of memory, beside what there is."""

import pytest

from tailorbird.errors import InvalidInput
from training import memory, splits
from training.config import DataConfig
from training.memory import needed


@pytest.fixture
def tuned(run_config):
    def make(tune="all", **keys):
        return run_config(model={"family": "pretrained", "backbone": "mobilenet_v3_small", "tune": tune}, **keys)

    return make


@pytest.fixture
def photographs(blobs):
    return splits.split(blobs(images=90, shape=(64, 64, 3)), DataConfig(name="digits", holdout=0))


@pytest.fixture
def free(tmp_path, monkeypatch):
    """Lets the machine have so many bytes, and its container so many."""

    def write(machine, container=None):
        monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
        monkeypatch.setattr(memory, "CGROUP", tmp_path)
        (tmp_path / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {machine // 1024} kB\n")
        (tmp_path / "memory.max").write_text("max" if container is None else f"{container + 1000}")
        (tmp_path / "memory.current").write_text("1500")
        (tmp_path / "memory.stat").write_text("anon 900\ninactive_file 500\n")  # read files, which can be dropped

    return write


def test_a_batch_that_memory_does_not_hold_is_refused_with_one_that_it_holds(tuned, photographs, free):
    fixed, each = needed(tuned().model, (64, 64, 3), False)
    free(fixed + 20 * each + 1024)
    memory.check(tuned(batch_size=20), photographs)
    with pytest.raises(InvalidInput, match=r"^batch_size: tuning mobilenet_v3_small in batches of 32 .*; try 20$"):
        memory.check(tuned(batch_size=32), photographs)
    with pytest.raises(InvalidInput, match=r"^batch_size: .* in batches of 63 .*; try 20$"):
        memory.check(tuned(batch_size="full"), photographs)
    memory.check(tuned("head", batch_size=32), photographs)


def test_runs_at_a_time_share_the_memory(tuned, photographs, free):
    fixed, each = needed(tuned().model, (64, 64, 3), False)
    free(2 * (fixed + 20 * each + 1024))
    memory.check(tuned(batch_size=20), photographs, together=2)
    with pytest.raises(InvalidInput, match=r"are free for 3 trials at a time; try \d+, or fewer trials at a time by"):
        memory.check(tuned(batch_size=20), photographs, together=3)


def test_heads_of_several_widths_are_reckoned_too(tuned):
    listed = tuned("last").model.model_copy(update={"width": [256, 128], "depth": 2})
    assert needed(listed, (64, 64, 3), False)[0] > needed(tuned("last").model, (64, 64, 3), False)[0]


def test_the_limit_of_a_container_counts_too(tuned, photographs, free):
    fixed, each = needed(tuned().model, (64, 64, 3), False)
    free(10**12, container=fixed + 7 * each)
    with pytest.raises(InvalidInput, match=r"; try 7$"):
        memory.check(tuned(batch_size=32), photographs)


def test_where_nothing_fits_another_part_of_the_network_is_named(tuned, photographs, free):
    free(2**20)
    with pytest.raises(InvalidInput, match=r"^model.tune: all takes about .*; try head, or a smaller data.size$"):
        memory.check(tuned(batch_size=1), photographs)


def test_the_last_stage_takes_less_than_all_and_bf16_less_than_fp32(tuned):
    whole, last = (needed(tuned(tune).model, (64, 64, 3), False) for tune in ("all", "last"))
    half = needed(tuned().model, (64, 64, 3), True)
    assert last < whole and half[1] < whole[1]
    assert last[1] < whole[1] / 2
